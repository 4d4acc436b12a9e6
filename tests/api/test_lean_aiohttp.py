import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import pytest

from opsvisor.api.lean_aiohttp import put_in_place

# In the order in which a program may import us and aiohttp.
OURS_FIRST = """
    import sys
    import opsvisor.api.app
    assert "aiohttp.web" in sys.modules
    assert not {"aiohttp.client", "aiohttp.connector"} & set(sys.modules)
    import aiohttp
    """
OURS_LAST = """
    import aiohttp
    before = dict(vars(aiohttp))
    import opsvisor.api.app
    assert {name: vars(aiohttp)[name] for name in before} == before
    """
# What others may want of it then.
USES = """
    import importlib.metadata
    from aiohttp import *
    from aiohttp import ClientTimeout, web
    assert aiohttp.__version__ == importlib.metadata.version("aiohttp")
    assert aiohttp.ClientSession is ClientSession is aiohttp.client.ClientSession
    assert aiohttp.web is web is opsvisor.api.app.web
    assert set(aiohttp.__all__) <= set(dir(aiohttp))
    assert not hasattr(aiohttp, "nothing_like_it")
    print("all there")
    """


def run(code: str) -> str:
    """What a new interpreter prints that does this."""
    return subprocess.check_output([sys.executable, "-c", code], text=True)


@pytest.mark.parametrize("first", [OURS_FIRST, OURS_LAST], ids=["ours first", "ours last"])
def test_whoever_wants_the_client_has_it(first: str) -> None:
    """Other code of the same process finds the aiohttp that it knows, whoever came first."""
    assert run(textwrap.dedent(first) + textwrap.dedent(USES)) == "all there\n"


def test_lists_in_c_are_left_to_who_had_them_first() -> None:
    """They bring the library of C++ with them, for lists of one or two that are seldom read."""
    told = "print(frozenlist.FrozenList is frozenlist.PyFrozenList)"
    assert run(f"import opsvisor.api.app, frozenlist; {told}") == "True\n"
    assert run(f"import frozenlist, opsvisor.api.app; {told}") == "False\n"


class Package:
    """A package that a test writes, with a module `part` and what its `__init__.py` says."""

    name = "laid_out_as_aiohttp"

    def __init__(self, folder: Path) -> None:
        self._folder = folder / self.name
        self._folder.mkdir()

    def write(self, init: str) -> None:
        """Write it; then it can be imported."""
        (self._folder / "part.py").write_text("from . import __version__ as version\n")
        (self._folder / "__init__.py").write_text(textwrap.dedent(init))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """One that nobody has imported, and nobody has afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    yield Package(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == Package.name]:
        del sys.modules[name]


def imported(name: str) -> SimpleNamespace:
    """A module of the test's, of which no type checker knows anything."""
    __import__(name)
    return sys.modules[name]  # type: ignore[return-value]  # its names are as good as any


def test_modules_are_imported_without_the_package(package: Package) -> None:
    """Neither a module of it nor what Python asks of any module has the package run."""
    package.write('__version__ = "1.2.3"\nraise AssertionError("it was run")\n')
    put_in_place(package.name)
    assert imported(f"{package.name}.part").version == "1.2.3"
    there = imported(package.name)
    assert there.part.version == "1.2.3"
    assert not hasattr(there, "__wrapped__")  # of which inspect and others ask everything


def test_package_is_run_once_when_it_is_needed(package: Package) -> None:
    """What it makes is there, and what it does not make is asked for in vain."""
    package.write(
        """
        __version__ = "1.2.3"
        from . import part
        runs = globals().get("runs", 0) + 1
        """
    )
    put_in_place(package.name)
    there = imported(package.name)
    assert [there.runs, there.part.version, there.runs] == [1, "1.2.3", 1]
    assert not hasattr(there, "other")
    assert there.runs == 1


def test_package_that_makes_attributes_itself_goes_on_doing_so(package: Package) -> None:
    """A `__getattr__` of its own takes the place of ours, as aiohttp has one for its workers."""
    package.write('__version__ = "1.2.3"\ndef __getattr__(name): return name.upper()\n')
    put_in_place(package.name)
    assert [imported(package.name).late, imported(package.name).later] == ["LATE", "LATER"]


def test_package_may_look_for_what_it_lacks_while_it_is_run(package: Package) -> None:
    """It is not run again for that, within itself."""
    package.write(
        """
        __version__ = "1.2.3"
        import sys
        had = hasattr(sys.modules[__name__], "optional")
        """
    )
    put_in_place(package.name)
    assert imported(package.name).had is False


def test_second_thread_waits_until_all_is_there(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it would wait for an import: nobody sees half of a package."""
    gate = SimpleNamespace(reached=Event(), opened=Event())
    monkeypatch.setitem(sys.modules, "gate", gate)
    package.write(
        """
        __version__ = "1.2.3"
        import gate
        gate.reached.set()
        gate.opened.wait()
        late = 1
        """
    )
    put_in_place(package.name)
    there, found = imported(package.name), list[int]()
    threads = [Thread(target=lambda: found.append(there.late)) for _ in range(2)]
    threads[0].start()
    gate.reached.wait()
    threads[1].start()
    threads[1].join(0.1)  # as long as it waits; if it doesn't, it has ended with an error by then
    gate.opened.set()
    for thread in threads:
        thread.join()
    assert found == [1, 1]


@pytest.mark.parametrize("init", ["__version__ = str(1)\n", ""], ids=["computed", "none"])
def test_package_of_another_making_is_left_alone(package: Package, init: str) -> None:
    """Without a version that can be read, it is imported as ever."""
    package.write(f"{init}runs = 1\n")
    put_in_place(package.name)
    assert package.name not in sys.modules
    assert imported(package.name).runs == 1


@pytest.mark.parametrize("name", ["no_such_package", "this"])
def test_what_is_no_package_is_left_alone(name: str) -> None:
    """Nothing by that name, or a single file."""
    put_in_place(name)
    assert name not in sys.modules
