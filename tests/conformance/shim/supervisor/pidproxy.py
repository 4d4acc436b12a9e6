"""`python -m supervisor.pidproxy` starts opsvisor-pidproxy."""

import sys

from opsvisor.pidproxy import main

if __name__ == "__main__":
    sys.exit(main())
