"""What can be asked by XML-RPC without changing anything: processes, settings, logs, methods."""

import xmlrpc.client
from typing import Any

import pytest
from contestants import HEAD, Contestant, Pair, StartPair, timeless
from supervisor.xmlrpc import (  # type: ignore[import-untyped]  # comes without annotations
    SupervisorTransport,
)

CONFIG = (
    HEAD
    + """\
[program:cat]
command = /bin/cat
startsecs = 0
stdout_logfile = $HERE/cat.out
stderr_logfile = NONE

[program:off]
command = /bin/cat -u '-'
startsecs = 0
stopwaitsecs = 1
autostart = false

[program:digits]
command = /bin/sh -c "printf 0123456789ab; printf 'to stderr' >&2"
startsecs = 0
autorestart = false
stdout_logfile = $HERE/digits.out
stderr_logfile = $HERE/digits.err

[program:umlauts]
command = /bin/sh -c "printf 'Malm\\303\\266 <&> end'"
startsecs = 0
autorestart = false

[program:silent]
command = /bin/true
startsecs = 0
autorestart = false
stdout_logfile = NONE
stderr_logfile = NONE

[program:merged]
command = /bin/sh -c "echo to stderr >&2"
startsecs = 0
autorestart = false
redirect_stderr = true

[program:many]
command = /bin/cat
process_name = %(program_name)s_%(process_num)02d
numprocs = 3
numprocs_start = 7
startsecs = 0
priority = 5

[program:missing]
command = $HERE/none/command
startretries = 0

[program:broken]
command = /bin/sh -c 'while : ; do true'
startretries = 0

[program:rich]
command = /bin/cat
autostart = false
autorestart = true
directory = /
umask = 027
startsecs = 7
startretries = 8
exitcodes = 0,2,5
stopsignal = INT
stopwaitsecs = 11
stopasgroup = true
priority = 17
user = root
serverurl = http://elsewhere:1
environment = A="1",B="2"
stdout_logfile = $HERE/rich.out
stdout_logfile_maxbytes = 1KB
stdout_logfile_backups = 3
stdout_capture_maxbytes = 2KB
stdout_events_enabled = true
stdout_syslog = false
stderr_logfile = AUTO
stderr_logfile_maxbytes = 2MB
stderr_logfile_backups = 4
stderr_capture_maxbytes = 3MB
stderr_events_enabled = true

[program:left]
command = /bin/cat
startsecs = 0

[program:right]
command = /bin/cat
startsecs = 0
priority = 1

[group:hands]
programs = right,left
priority = 3

[group:nobody]
"""
)

SETTLED = {
    "cat": "RUNNING",
    "off": "STOPPED",
    "digits": "EXITED",
    "umlauts": "EXITED",
    "silent": "EXITED",
    "merged": "EXITED",
    "many:many_07": "RUNNING",
    "many:many_08": "RUNNING",
    "many:many_09": "RUNNING",
    "missing": "FATAL",
    "broken": "FATAL",
    "rich": "STOPPED",
    "hands:left": "RUNNING",
    "hands:right": "RUNNING",
}


@pytest.fixture(scope="module")
def pair(start_shared_pair: StartPair) -> Pair:
    """Both, when nothing changes any more."""
    started = start_shared_pair(CONFIG)

    def settle(one: Contestant) -> None:
        for name, state in SETTLED.items():
            one.until(name, state)
        assert one.call("supervisor.sendProcessStdin", "cat", "".join(map(chr, range(32, 127))))
        one.until_text("cat.out", "~")
        one.until_text("digits.out", "b")
        one.until_text("digits.err", "r")

    started.both(settle)
    return started


@pytest.mark.parametrize(
    "method",
    [
        "supervisor.getAPIVersion",
        "supervisor.getVersion",
        "supervisor.getSupervisorVersion",
        "supervisor.getIdentification",
        "supervisor.getState",
        "system.listMethods",
    ],
)
def test_facts_about_the_daemon(pair: Pair, method: str) -> None:
    """Equal to the last character, version included: clients decide by it."""
    pair.agree(lambda one: one.call(method))


def test_pid(pair: Pair) -> None:
    """The pid of the daemon itself."""
    assert pair.agree(lambda one: one.call("supervisor.getPID") == one.pid)


@pytest.mark.parametrize("name", SETTLED)
def test_process_info(pair: Pair, name: str) -> None:
    """The same fields with the same values of the same types, in every state."""
    pair.agree(lambda one: timeless(one.call("supervisor.getProcessInfo", name)))


def test_times_are_whole_seconds(pair: Pair) -> None:
    """start, stop and now, whatever has happened to the process."""

    def ask(one: Contestant) -> list[tuple[str, bool]]:
        infos = one.call("supervisor.getAllProcessInfo")
        return [
            (info["name"], all(type(info[key]) is int for key in ("start", "stop", "now")))
            for info in infos
        ]

    assert all(whole for _, whole in pair.agree(ask))


def test_all_process_info(pair: Pair) -> None:
    """By group, then by name."""
    infos = pair.agree(lambda one: timeless(one.call("supervisor.getAllProcessInfo")))
    assert len(infos) == len(SETTLED)


def _config_infos(one: Contestant) -> list[dict[str, Any]]:
    infos = one.call("supervisor.getAllConfigInfo")
    assert isinstance(infos, list)
    return infos


@pytest.mark.differs("config-info-autorestart")
@pytest.mark.parametrize("name", sorted({one.rpartition(":")[2] for one in SETTLED}))
def test_config_info(pair: Pair, name: str) -> None:
    """Every setting that it tells, with its type; autorestart besides, which is 4.4's."""

    def ask(one: Contestant) -> dict[str, Any]:
        (info,) = (info for info in _config_infos(one) if info["name"] == name)
        assert ("autorestart" in info) == one.is_ours
        info.pop("autorestart", None)
        return info

    pair.agree(ask)


def test_config_info_is_sorted(pair: Pair) -> None:
    """By name of the process."""
    pair.agree(lambda one: [info["name"] for info in _config_infos(one)])


OFFSETS = [-100, -12, -5, -1, 0, 1, 6, 11, 12, 13, 100]
LENGTHS = [-1, 0, 1, 5, 12, 100]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("method", ["readProcessStdoutLog", "tailProcessStdoutLog"])
def test_windows_into_a_log(pair: Pair, method: str, offset: int, length: int) -> None:
    """A log of twelve bytes at every offset and length, and at some beyond."""
    pair.agree(lambda one: one.call(f"supervisor.{method}", "digits", offset, length))


@pytest.mark.parametrize("window", [(0, 0), (-3, 0), (0, 4), (3, 100)])
@pytest.mark.parametrize(
    "name", ["digits", "cat", "umlauts", "silent", "merged", "off", "missing"]
)
@pytest.mark.parametrize(
    "method",
    [
        "readProcessLog",
        "readProcessStderrLog",
        "tailProcessLog",
        "tailProcessStderrLog",
    ],
)
def test_logs_of_all_sorts(pair: Pair, method: str, name: str, window: tuple[int, int]) -> None:
    """Both streams, with a file, without one, with redirect_stderr."""
    pair.agree(lambda one: one.call(f"supervisor.{method}", name, *window))


@pytest.mark.parametrize("method", ["readLog", "readMainLog"])
@pytest.mark.parametrize(
    ("offset", "length"), [(-1, 5), (0, -1), (-1, -1), (10_000_000, 0), (10_000_000, 7)]
)
def test_windows_into_the_activity_log(pair: Pair, method: str, offset: int, length: int) -> None:
    """The same faults and ends as of other logs."""
    pair.agree(lambda one: one.call(f"supervisor.{method}", offset, length))


@pytest.mark.parametrize("method", ["readLog", "readMainLog"])
def test_reading_the_activity_log(pair: Pair, method: str) -> None:
    """From the beginning, and the last bytes."""

    def ask(one: Contestant) -> tuple[bool, bool]:
        log = one.log
        head = one.call(f"supervisor.{method}", 0, 25)
        tail = one.call(f"supervisor.{method}", -30, 0)
        return head == log[:25], tail == log[-30:]

    assert pair.agree(ask) == (True, True)


# -- system.* ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["supervisor.getState", "system.methodHelp", "nosuch", ""])
@pytest.mark.parametrize("asked", ["system.methodSignature"])
def test_signatures_of_methods(pair: Pair, asked: str, method: str) -> None:
    """Types of the result and the arguments, or a fault."""
    pair.agree(lambda one: one.call(asked, method))


def test_every_signature(pair: Pair) -> None:
    """Of every method that is listed."""
    pair.agree(
        lambda one: {
            method: one.call("system.methodSignature", method)
            for method in one.call("system.listMethods")
        }
    )


def test_help_for_every_method(pair: Pair) -> None:
    """There is some, in words of its own; and a fault for a method that isn't there."""

    def ask(one: Contestant) -> list[bool]:
        texts = [
            one.call("system.methodHelp", method) for method in one.call("system.listMethods")
        ]
        return [isinstance(text, str) and text.strip() != "" for text in texts]

    assert all(pair.agree(ask))
    pair.agree(lambda one: one.call("system.methodHelp", "nosuch"))


def _call(method: Any, *params: Any) -> dict[str, Any]:
    return {"methodName": method, "params": list(params)}


STATE = _call("supervisor.getState")
MULTICALLS: dict[str, list[Any]] = {
    "nothing": [],
    "one": [STATE],
    "two": [STATE, _call("supervisor.getIdentification")],
    "without params": [{"methodName": "supervisor.getState"}],
    "without a name": [{"params": []}],
    "nothing in it": [{}],
    "an empty name": [_call("")],
    "unknown": [_call("nosuch"), STATE],
    "a dotted path": [_call("supervisor.supervisord.options")],
    "fault among results": [STATE, _call("supervisor.getProcessInfo", "nosuch"), STATE],
    "wrong number of arguments": [_call("supervisor.getState", 1), STATE],
    "itself": [_call("system.multicall", [STATE]), STATE],
    "lists": [_call("system.listMethods"), _call("system.methodSignature", "supervisor.getState")],
    "started already": [_call("supervisor.startProcess", "cat"), STATE],
    "waiting": [
        _call("supervisor.stopProcess", "off"),
        _call("supervisor.startProcess", "nosuch"),
    ],
    "arrays": [_call("supervisor.stopProcessGroup", "off")],
    "too many fields": [{**STATE, "other": 1}],
}


@pytest.mark.parametrize("name", MULTICALLS)
def test_multicall(pair: Pair, name: str) -> None:
    """Results bare, in order; faults as structs among them."""
    pair.agree(lambda one: one.call("system.multicall", MULTICALLS[name]))


def test_multicall_waits_for_each(pair: Pair) -> None:
    """One after another: the process runs, stops, and has stopped when it is asked about."""
    calls = [
        _call("supervisor.startProcess", "off"),
        _call("supervisor.getProcessInfo", "off"),
        _call("supervisor.stopProcess", "off"),
        _call("supervisor.getProcessInfo", "off"),
    ]

    def ask(one: Contestant) -> Any:
        return timeless(one.call("system.multicall", calls))

    started, running, stopped, at_last = pair.agree(ask)
    assert (started, stopped) == (True, True)
    assert (running["statename"], at_last["statename"]) == ("RUNNING", "STOPPED")


# -- clients -------------------------------------------------------------------------------


def test_client_of_the_standard_library(pair: Pair) -> None:
    """xmlrpc.client over TCP, several calls on one connection."""

    def ask(one: Contestant) -> Any:
        with xmlrpc.client.ServerProxy(f"http://127.0.0.1:{one.port}/RPC2") as proxy:
            state = proxy.supervisor.getState()
            return state, one.neutral(timeless(proxy.supervisor.getAllProcessInfo()))

    pair.agree(ask)


def test_transport_of_supervisor(pair: Pair) -> None:
    """The class that listeners import from the package, over the unix socket."""

    def ask(one: Contestant) -> Any:
        transport = SupervisorTransport("", "", f"unix://{one.socket}")
        try:
            proxy = xmlrpc.client.ServerProxy("http://ignored/RPC2", transport)
            return [proxy.supervisor.getState(), proxy.supervisor.getIdentification()]
        finally:
            transport.close()

    pair.agree(ask)


def test_old_multicall_object_cannot_read_it(pair: Pair) -> None:
    """xmlrpc.client.MultiCall expects results in lists; Supervisor never did so."""

    def ask(one: Contestant) -> str:
        with xmlrpc.client.ServerProxy(f"http://127.0.0.1:{one.port}/RPC2") as proxy:
            calls = xmlrpc.client.MultiCall(proxy)
            calls.supervisor.getIdentification()
            try:
                return str(calls()[0])
            except ValueError as error:
                return str(error)

    assert pair.agree(ask) == "unexpected type in multicall result"
