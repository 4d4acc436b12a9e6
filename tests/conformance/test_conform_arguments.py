"""Every XML-RPC method called with too few, too many, and odd arguments."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from contestants import HEAD, Contestant, Fault, Pair, StartPair, timeless
from supervisor.rpcinterface import (  # type: ignore[import-untyped]  # comes without annotations
    SupervisorNamespaceRPCInterface,
)
from supervisor.xmlrpc import (  # type: ignore[import-untyped]  # comes without annotations
    SystemNamespaceRPCInterface,
)

_NAMESPACES = {
    "supervisor": SupervisorNamespaceRPCInterface,
    "system": SystemNamespaceRPCInterface,
}


def _methods() -> Iterator[tuple[str, int, int]]:
    """Every public method with the least and the greatest number of its arguments."""
    for namespace, interface in _NAMESPACES.items():
        for name, function in inspect.getmembers(interface, inspect.isfunction):
            if name.startswith("_"):
                continue
            _, *parameters = inspect.signature(function).parameters.values()
            needed = [one for one in parameters if one.default is inspect.Parameter.empty]
            yield f"{namespace}.{name}", len(needed), len(parameters)


METHODS = {name: (least, most) for name, least, most in _methods()}
# Well-formed otherwise, so that only the number is wrong.
_FILLER = ["nosuch", 0, 0, 0, 0]
WRONG_COUNTS = [
    (name, count)
    for name, (least, most) in METHODS.items()
    for count in range(most + 3)
    if not least <= count <= most
]


@pytest.fixture(scope="module")
def pair(start_shared_pair: StartPair) -> Pair:
    """Both, with a process that runs and one that doesn't."""
    programs = (
        "[program:cat]\ncommand=/bin/cat\nstartsecs=0\n"
        "[program:off]\ncommand=/bin/cat\nautostart=false\n"
    )
    started = start_shared_pair(HEAD + programs)
    started.both(lambda one: one.until("cat", "RUNNING"))
    return started


@pytest.mark.parametrize(("method", "count"), WRONG_COUNTS, ids=str)
def test_wrong_number_of_arguments(pair: Pair, method: str, count: int) -> None:
    """Fault 2, whatever is wrong beyond that."""
    answer = pair.agree(lambda one: one.call(method, *_FILLER[:count]))
    assert answer == Fault(2, "INCORRECT_PARAMETERS")


NAMES = [
    "",
    ":",
    "*",
    "cat:",
    ":cat",
    "cat:cat:cat",
    "cat:off",
    "nosuch",
    "nosuch:*",
    "nosuch:cat",
]
NAMES += ["cat ", "CAT", "cat:cat", "all", "öäü", "a\tb", "<&>"]
METHODS_OF_ONE_NAME = [
    name
    for name, (least, _) in METHODS.items()
    if "Process" in name and least == 1 and not name.startswith("supervisor.signalAll")
]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("cat:", "cat:cat")])
@pytest.mark.parametrize("method", METHODS_OF_ONE_NAME)
def test_names_that_nobody_has(pair: Pair, method: str, name: str) -> None:
    """Fault 10 as a rule, quoting the name."""
    pair.agree(lambda one: one.call(method, name))


@pytest.mark.parametrize("name", ["nosuch", "cat:nosuch", "nosuch:*", "cat:*", "cat:", "*", ""])
@pytest.mark.parametrize(
    ("method", "others"),
    [
        ("readProcessStdoutLog", (0, 0)),
        ("readProcessLog", (0, 0)),
        ("readProcessStderrLog", (0, 0)),
        ("tailProcessStdoutLog", (0, 0)),
        ("tailProcessLog", (0, 0)),
        ("tailProcessStderrLog", (0, 0)),
        ("sendProcessStdin", ("x",)),
        ("sendProcessStdin", ("",)),
        ("signalProcess", ("CONT",)),
        ("signalProcess", ("NOPE",)),
        ("signalProcessGroup", ("CONT",)),
    ],
)
def test_names_before_other_arguments(
    pair: Pair, method: str, others: tuple[Any, ...], name: str
) -> None:
    """What is said about a name that these methods don't take."""
    pair.agree(lambda one: one.call(f"supervisor.{method}", name, *others))


SIGNALS = ["TERMM", "", "0", "-1", "99", "18", "SIGCONT", "cont", "CONT ", "SIG", "18.0"]


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("process", ["cat", "off"])
def test_signals_in_every_spelling(pair: Pair, process: str, signal: str) -> None:
    """By name with and without SIG, in any case, by number as text; else fault 11."""
    pair.agree(lambda one: one.call("supervisor.signalProcess", process, signal))


@pytest.mark.parametrize("signal", SIGNALS)
def test_signals_for_all(pair: Pair, signal: str) -> None:
    """The fault of each process is in the array."""
    pair.agree(lambda one: one.call("supervisor.signalAllProcesses", signal))


# Types that a method doesn't expect, and makes something of all the same.
ODD: list[tuple[str, tuple[Any, ...]]] = [
    ("sendProcessStdin", ("cat", 5)),
    ("sendProcessStdin", ("cat", "")),
    ("sendProcessStdin", ("cat", "\N{LATIN SMALL LETTER O WITH DIAERESIS}\n")),
    ("sendRemoteCommEvent", (1, 2)),
    ("sendRemoteCommEvent", ("", "")),
    ("startProcess", ("cat", "x")),
    ("startProcess", ("cat", 0)),
    ("startProcess", ("cat:*", "")),
    ("stopProcess", ("off", 5)),
    ("signalProcess", ("cat", 18)),
    ("signalProcess", ("cat:*", 18)),
    ("signalProcess", ("cat", True)),
    ("signalProcess", ("cat", 18.0)),
    ("readLog", ("0", "1")),
    ("readLog", (0.5, 1)),
    ("readMainLog", (True, False)),
    ("tailProcessLog", ("off", "0", "5")),
    ("readProcessLog", ("off", 0.0, 5.0)),
    ("getProcessInfo", (b"cat",)),
    ("getProcessInfo", (b"nosuch",)),
    ("addProcessGroup", (5,)),
    ("removeProcessGroup", (5.5,)),
]


@pytest.mark.parametrize(("method", "params"), ODD, ids=str)
def test_odd_types(pair: Pair, method: str, params: tuple[Any, ...]) -> None:
    """Numbers for texts, texts for numbers, and the like."""

    def ask(one: Contestant) -> Any:
        answer = one.call(f"supervisor.{method}", *params)
        return "some text" if method == "readMainLog" else timeless(answer)

    pair.agree(ask)


@pytest.mark.parametrize(
    "method",
    [
        "nosuch",
        "supervisor",
        "supervisor.",
        ".getState",
        "supervisor.nosuch",
        "supervisor.getState.x",
        "supervisor._update",
        "supervisor.__init__",
        "supervisor.supervisord.options",
        "supervisor.supervisord",
        "system.nosuch",
        "system._getAllMethods",
        "other.getState",
        "SUPERVISOR.getState",
        "supervisor.getstate",
        "",
        " supervisor.getState",
    ],
)
def test_methods_that_do_not_exist(pair: Pair, method: str) -> None:
    """Fault 1. No name leads to anything that is not a method of the interface."""
    pair.agree(lambda one: one.call(method))
