"""The real package, with the programs of opsvisor in place of its own.

On PYTHONPATH before the real one. The modules in this directory hide those of the same name;
everything else is found where it is installed.
"""

import sys
from importlib.machinery import PathFinder
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_real = PathFinder.find_spec(
    __name__, [entry for entry in sys.path if Path(entry or ".").resolve() != _HERE.parent]
)
assert _real is not None, "supervisor is not installed"
assert _real.submodule_search_locations is not None
__path__ += list(_real.submodule_search_locations)
