"""Has aiohttp's server without its client, where nobody has imported aiohttp before.

`aiohttp/__init__.py` imports the whole client, of which a server uses nothing, and the client
reads the CA certificates twice while it is imported: 46 ms and 4 MiB of each daemon. So the
package is put in place without that file being run, with what Python needs to find its modules.
Whoever asks it for anything else that is in that file has it run then, and finds all there is.

With an aiohttp that isn't laid out like that nothing is done: it is imported as it always was.

And aiohttp's lists that can be frozen are those in Python, which come with those in C. The latter
are all that needs the library of C++ in our process, a MiB, and here they are short and seldom
looked at: with either, an answer takes the same time.
"""

import re
import sys
from importlib import reload
from importlib.util import find_spec, module_from_spec
from threading import RLock
from types import ModuleType

# What aiohttp's modules ask the package for; all else that they need they have from each other.
_VERSION = re.compile(r'^__version__ = "([\w.+-]+)"$', re.MULTILINE)


def leave_client_out() -> None:
    """Have aiohttp's modules imported each by itself, and the client by whoever wants it."""
    put_in_place("aiohttp")
    if "frozenlist" not in sys.modules:
        leave_out("frozenlist._frozenlist")


def leave_out(name: str) -> None:
    """Have whoever imports this module find that there is none (see `sys.modules`)."""
    sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # None is for that, in the manual


def put_in_place(name: str) -> None:
    """Have a package of this name whose `__init__.py` is only run when something needs it."""
    if name in sys.modules:
        return
    spec = find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        return
    source: str | None = getattr(spec.loader, "get_source", lambda _: None)(name)
    version = _VERSION.search(source or "")
    if version is None:
        return
    package = module_from_spec(spec)
    vars(package).update(__version__=version[1], __getattr__=_Rest(package))
    sys.modules.setdefault(name, package)  # a thread may have been faster


class _Rest:
    """The `__getattr__` (PEP 562) of a package whose `__init__.py` has not been run."""

    def __init__(self, package: ModuleType) -> None:
        self._package = package
        self._lock = RLock()  # a second thread finds all of it, or waits
        self._begun = False

    def __call__(self, name: str) -> object:
        """A module of it, or else what `__init__.py` makes of the name."""
        package, there = self._package, vars(self._package)
        # Python asks for names of its own, to see whether a module has such a thing.
        if name.startswith("__") and name != "__all__":
            raise _missing(package, name)
        module = f"{package.__name__}.{name}"
        if find_spec(module) is not None:
            __import__(module)  # not import_module, of which -X importtime does not tell
            return sys.modules[module]
        with self._lock:
            if not self._begun:
                self._begun = True
                reload(package)
                if there["__getattr__"] is self:
                    del there["__getattr__"]
            # While it is being run it may ask for what it doesn't have yet.
            if name in there or there.get("__getattr__") is not self:
                value: object = getattr(package, name)
                return value
        raise _missing(package, name)


def _missing(package: ModuleType, name: str) -> AttributeError:
    return AttributeError(f"module {package.__name__!r} has no attribute {name!r}")
