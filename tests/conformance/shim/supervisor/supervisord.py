"""`python -m supervisor.supervisord` starts opsvisord."""

import sys

from opsvisor.daemon import main

if __name__ == "__main__":
    sys.exit(main())
