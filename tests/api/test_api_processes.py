"""Processes and groups over HTTP: how they are, why, and what is asked of them."""

import asyncio
import os
import signal
import threading
from urllib.parse import quote

import pytest
from engine_room import NEVER, PATIENCE, key, obedient, program, sleeper
from served import JSON, Done, Serve, Served, take

from opsvisor import wire
from opsvisor.api import processes as of_processes
from opsvisor.core.events import ProcessExited
from opsvisor.core.spec import LogSpec, Startup, StdinMode, StopPolicy
from opsvisor.core.state import PublicState

OFF = Startup.DISABLED


async def test_every_process_is_listed_in_order(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it in the words of the wire, by group and name."""
    monkeypatch.setattr(of_processes, "_SWEEP_PATIENCE", PATIENCE)
    api = await serve(
        sleeper("web", labels=(("team", "a"),), priority=7),
        sleeper("b", group="db", startup=OFF),
        sleeper("a", group="db", startup=OFF),
    )
    processes = (await api.get("/api/v1/processes", wire.ProcessList)).processes
    assert [status.name for status in processes] == ["db:a", "db:b", "web"]
    web = processes[-1]
    room = api.house.room
    assert (web.group, web.process, web.program, web.replica) == ("web", "web", "web", 0)
    assert (web.state, web.state_code, web.pid) == ("RUNNING", 20, room.pid())
    assert web.description.startswith(f"pid {room.pid()}, uptime 0:00:0")
    assert (web.ready, web.expected_running, web.flapping, web.healthy) == (
        True,
        True,
        False,
        None,
    )
    assert (web.starts, web.restarts, web.failed_starts) == (1, 0, 0)
    assert (web.exit_code, web.exit_signal, web.stopped_at, web.retry_at) == (None, None, 0, 0)
    assert (web.startup, web.priority, web.labels) == ("enabled", 7, {"team": "a"})
    assert 0 <= web.uptime < 10
    assert web.rss_bytes
    assert web.tree_processes == 1
    assert web.open_fds
    assert web.open_fds >= 3
    assert processes[0].pid == 0
    assert processes[0].description == "Not started"


async def test_resources_can_be_left_out(api: Served) -> None:
    """A status that needs no figures of /proc does not wait for them."""
    (web,) = (await api.get("/api/v1/processes", wire.ProcessList, resources=0)).processes
    assert (web.rss_bytes, web.cpu_seconds) == (None, None)
    assert api.house.control.sampler.sweeps == 0


async def test_some_processes_can_be_asked_for(serve: Serve) -> None:
    """By all the names that opsvisorctl takes; one that stands for nothing is an error."""
    api = await serve(sleeper("web"), sleeper("db"), sleeper("cat"))
    async with api.session.get("/api/v1/processes?name=web&name=c*") as response:
        assert [p["name"] for p in (await response.json())["processes"]] == ["web", "cat"]
    for name, code in (("none", "no_such_process"), ("none:*", "no_such_group")):
        told = await api.problem("GET", f"/api/v1/processes?name={name}")
        assert (told.status, told.code) == (404, code)


async def test_one_process_in_full(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it was told to be, and who is running for it."""
    monkeypatch.setattr(of_processes, "_SWEEP_PATIENCE", PATIENCE)
    api = await serve(program("web", "sh", "-c", "sleep 1000 & echo up; wait", working_dir="/"))
    await api.house.room.output("up")
    detail = await api.get("/api/v1/processes/web", wire.ProcessDetail)
    async with asyncio.timeout(60):
        while detail.tree[-1].command != "sleep 1000":  # forked, but still the shell's copy
            detail = await api.get("/api/v1/processes/web", wire.ProcessDetail)
    assert detail.status.name == "web"
    assert (detail.command, detail.working_dir, detail.user) == (
        "sh -c sleep 1000 & echo up; wait",
        "/",
        "",
    )
    assert detail.restart_policy["mode"] == "on-failure"
    assert detail.restart_policy["limit_count"] == 8
    root, child = detail.tree
    assert (root.pid, child.parent) == (api.house.room.pid(), root.pid)
    assert child.rss_bytes > 0


@pytest.mark.parametrize("name", ["größe/1 %2F", "a b", "100%", "日本"])
async def test_names_are_text_and_not_paths(serve: Serve, name: str) -> None:
    """Percent-encoded, every name that a configuration can have finds its process."""
    api = await serve(sleeper(name), sleeper("x", group=name))
    for path, found in ((name, name), (f"{name}:x", f"{name}:x")):
        async with api.session.get(f"/api/v1/processes/{quote(path, safe='')}") as response:
            assert (await response.json())["status"]["name"] == found
    assert {done.route for done in api.done} == {"/api/v1/processes/{name}"}


@pytest.mark.parametrize(
    "path",
    ["", "/history", "/logs/stdout", "/logs/stdout/follow"],
)
async def test_an_unknown_process_is_told_as_such(api: Served, path: str) -> None:
    """With a hint where to find the names."""
    told = await api.problem("GET", f"/api/v1/processes/none{path}")
    assert (told.status, told.code, told.detail) == (
        404,
        "no_such_process",
        "no such process: none",
    )
    assert told.hint


@pytest.mark.parametrize("path", ["/processes/web/logs/stdout", "/daemon", "/processes/web/stdin"])
async def test_finding_one_process_does_not_look_at_all_of_them(
    api: Served, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """A view of each of a thousand processes costs milliseconds; their names cost nothing."""

    def look_at_all() -> None:
        pytest.fail("every process was looked at")

    monkeypatch.setattr(api.house.room.engine, "views", look_at_all)
    method = "POST" if path.endswith("stdin") else "GET"
    async with api.session.request(method, f"/api/v1{path}", headers=JSON) as response:
        assert response.status in (200, 400)


async def test_a_process_is_shown_even_if_its_command_line_cannot_be_read(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To read it takes a lock of the process, which may be stuck with it in the kernel."""

    async def hang(_process_id: object, _root: object, *, patience: float) -> None:  # noqa: ARG001
        await asyncio.Event().wait()

    monkeypatch.setattr(api.house.control.sampler, "members", hang)
    detail = await api.get("/api/v1/processes/web", wire.ProcessDetail)
    assert (detail.status.state, detail.tree) == ("RUNNING", [])


async def test_history_says_why(serve: Serve) -> None:
    """Its policy in words, what comes next, and the post-mortems of its runs."""
    api = await serve(program("web", "sh", "-c", "echo out; echo err >&2; exit 3", restart=NEVER))
    exited = await api.house.room.next(ProcessExited)
    told = await api.get("/api/v1/processes/web/history", wire.History)
    assert told.status.state == "EXITED"
    assert told.policy[-2].startswith("stop: SIGTERM")
    assert told.policy[-1].endswith("process group + subreaper (no delegated cgroup)")
    assert told.what_next == "nothing: its restart policy leaves it as it ended"
    (run,) = told.runs
    assert (run.pid, run.ended_at, run.uptime) == (exited.pid, exited.at, exited.uptime)
    assert run.started_at == pytest.approx(exited.at - exited.uptime)
    assert (run.outcome, run.exit_code, run.exit_signal) == ("exit status 3", 3, None)
    assert (run.cause, run.expected) == ("failure", False)
    assert (run.stdout_tail, run.stderr_tail) == (["out"], ["err"])
    assert run.max_rss_bytes > 0


async def test_history_tells_signals_by_name_and_failed_starts_by_reason(serve: Serve) -> None:
    """What the kernel said, in words; 0 where there never was a process."""
    api = await serve(sleeper("killed", restart=NEVER), program("never", "nothere", restart=NEVER))
    os.kill(api.house.room.pid("killed"), signal.SIGKILL)
    await api.house.room.next(ProcessExited)
    (run,) = (await api.get("/api/v1/processes/killed/history", wire.History)).runs
    assert (run.outcome, run.exit_code, run.exit_signal) == (
        "terminated by SIGKILL",
        None,
        "SIGKILL",
    )
    (run,) = (await api.get("/api/v1/processes/never/history", wire.History)).runs
    assert (run.pid, run.outcome, run.cause) == (
        0,
        "can't find command 'nothere'",
        "start_failure",
    )


# -- actions --------------------------------------------------------------------------------------


async def test_actions_are_carried_out_and_answered_one_by_one(serve: Serve) -> None:
    """Every action, every kind of answer, in the order of the names."""
    api = await serve(sleeper("web"), sleeper("off", startup=OFF))
    results = await api.act("start", "web", "off", "none", "none:*")
    assert [(r.name, r.result) for r in results] == [
        ("web", "already_started"),
        ("off", "ok"),
        ("none", "no_such_process"),
        ("none", "no_such_group"),
    ]
    assert (results[1].group, results[1].process) == ("off", "off")
    first = api.house.room.pid("web")
    assert [r.result for r in await api.act("restart", "web")] == ["ok"]
    assert api.house.room.pid("web") != first
    (result,) = await api.act("signal", "web", signal="cont")
    assert (result.result, result.reason) == (
        "ok",
        f"SIGCONT sent to pid {api.house.room.pid('web')}",
    )
    assert [r.result for r in await api.act("stop", "off", "off")] == ["ok"]
    assert [r.result for r in await api.act("stop", "off")] == ["not_running"]


async def test_waiting_can_be_declined_or_bounded(serve: Serve) -> None:
    """The request goes on either way."""
    api = await serve(sleeper(startup=OFF, min_uptime=1000))
    assert [r.result for r in await api.act("start", "web", timeout=0.01)] == ["timeout"]
    assert api.house.room.view().state is PublicState.STARTING
    assert [r.reason for r in await api.act("stop", "web", wait=False)] == ["requested"]
    await api.house.room.state(PublicState.STOPPED)


@pytest.mark.parametrize("given", ["TERM", "SIGTERM", "sigterm", "15", 15])
async def test_signals_go_by_name_or_number(api: Served, given: str | int) -> None:
    """As people type them."""
    (result,) = await api.act("signal", "web", signal=given)
    assert result.reason.startswith("SIGTERM sent")


async def test_a_slip_in_a_signal_is_told_with_what_may_have_been_meant(api: Served) -> None:
    """As for a signal in the configuration: there is one parser."""
    body = b'{"action": "signal", "names": ["web"], "signal": "TERMM"}'
    told = await api.problem("POST", "/api/v1/actions", body=body)
    assert told.detail == "no such signal: 'TERMM'"
    assert told.hint.startswith("did you mean 'TERM'?")


@pytest.mark.parametrize("given", [b'"TERMM"', b'""', b"0", b"99", b"-1", b"null", '"²"'.encode()])
async def test_what_is_no_signal_is_refused(api: Served, given: bytes) -> None:
    """Before anything is sent, and quoted as it was given."""
    body = b'{"action": "signal", "names": ["web"], "signal": %b}' % given
    told = await api.problem("POST", "/api/v1/actions", body=body)
    assert (told.status, told.code) == (400, "bad_signal")
    assert api.house.room.view().state is PublicState.RUNNING


async def test_an_unknown_action_is_told_with_the_known_ones(api: Served) -> None:
    """All of them, so that one need not look."""
    body = b'{"action": "explode", "names": ["web"]}'
    told = await api.problem("POST", "/api/v1/actions", body=body)
    assert (told.status, told.detail) == (400, "no such action: 'explode'")
    assert told.hint == "one of: start, stop, restart, signal"


async def test_a_client_that_leaves_while_it_waits_leaves_nobody_behind(serve: Serve) -> None:
    """Its request goes on; the waiter goes with it (`served` looks for one at the end)."""
    api = await serve(sleeper(startup=OFF, min_uptime=1000))
    request = asyncio.ensure_future(api.act("start", "web"))
    await api.house.room.state(PublicState.STARTING)
    request.cancel()
    await asyncio.wait([request])
    await api.answered(Done("/api/v1/actions", "POST", 499))
    assert api.house.control.actions._waiting == {}
    assert api.house.room.view().state is PublicState.STARTING


# -- standard input -------------------------------------------------------------------------------


async def test_text_reaches_the_standard_input(serve: Serve) -> None:
    """All of it, as UTF-8, and the number of bytes is told."""
    api = await serve(obedient(then='echo "got $line"; sleep 1000'))
    request = wire.StdinRequest(text="wörld\n")
    answer = await api.post("/api/v1/processes/web/stdin", wire.StdinResponse, request)
    assert answer.written == 7
    await api.house.room.output("got wörld\n")


async def test_standard_input_is_taken_in_whole_characters(serve: Serve) -> None:
    """What did not fit can be sent on; half a character could not."""
    api = await serve(sleeper(stdin=StdinMode.PIPE))
    text = "xx" + "€" * 50_000  # the 64 KiB of a pipe end inside a character
    request = wire.StdinRequest(text=text)
    answer = await api.post("/api/v1/processes/web/stdin", wire.StdinResponse, request)
    assert 0 < answer.written < len(text.encode())
    assert text.endswith(text.encode()[answer.written :].decode())


async def test_why_there_is_no_standard_input(serve: Serve) -> None:
    """Not running, not asked for, or not read: each says so."""
    api = await serve(
        sleeper("null"),
        sleeper("off", startup=OFF, stdin=StdinMode.PIPE),
        sleeper("full", stdin=StdinMode.PIPE),
    )
    while True:
        body = b'{"text": "%b"}' % (b"x" * 65536)
        async with api.session.post(
            "/api/v1/processes/full/stdin", data=body, headers=JSON
        ) as response:
            if response.status != 200:
                assert (await response.json(content_type=None))["code"] == "stdin_full"
                break
    for name, detail in (
        ("null", "null has no standard input"),
        ("off", "off is not running"),
        ("full", "full does not read its standard input; its pipe is full"),
    ):
        told = await api.problem("POST", f"/api/v1/processes/{name}/stdin", body=b'{"text": "x"}')
        assert (told.status, told.detail) == (409, detail)
        assert told.hint or name == "off"


# -- groups and programs --------------------------------------------------------------------------


async def test_groups_and_programs_count_their_processes(serve: Serve) -> None:
    """The same processes, by how they are stopped and by who wrote them."""
    api = await serve(
        sleeper("a", group="db"), sleeper("b", group="db", startup=OFF), sleeper("web")
    )
    groups = (await api.get("/api/v1/groups", wire.GroupList)).groups
    assert groups == [
        wire.GroupStatus(
            name="db",
            priority=999,
            processes=["db:a", "db:b"],
            states={"RUNNING": 1, "STOPPED": 1},
        ),
        wire.GroupStatus(name="web", priority=999, processes=["web"], states={"RUNNING": 1}),
    ]
    programs = (await api.get("/api/v1/programs", wire.ProgramList)).programs
    assert [(p.name, p.command, p.processes, p.states) for p in programs] == [
        ("a", "sleep 1000", ["db:a"], {"RUNNING": 1}),
        ("b", "sleep 1000", ["db:b"], {"STOPPED": 1}),
        ("web", "sleep 1000", ["web"], {"RUNNING": 1}),
    ]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api/v1/processes", 200), ("/api/v1/processes/gone", 404), ("/api/v1/processes/web", 200)],
)
async def test_a_process_that_leaves_while_proc_is_read_is_no_bug(
    serve: Serve, path: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep takes its time; the answer is about those that are there when it is written."""
    monkeypatch.setattr(
        of_processes, "_SWEEP_PATIENCE", PATIENCE
    )  # it is waited for, whatever it takes
    api = await serve(sleeper("web"), sleeper("gone", stop=StopPolicy(signal=9)))
    sampler, gate = api.house.control.sampler, threading.Event()
    sampler._thread.submit(gate.wait)
    try:
        request = asyncio.ensure_future(api.session.get(path))
        async with asyncio.timeout(PATIENCE):
            while sampler._running is None:  # until the request waits for the sweep
                (await api.session.get("/healthz")).release()
        api.house.room.apply(sleeper("web"))
        await api.house.room.until(lambda: key("gone") in api.house.room.forgotten)
    finally:
        gate.set()
    async with await request as answer:
        assert answer.status == status


async def test_a_log_in_trouble_shows_in_the_status(serve: Serve) -> None:
    """The process runs; its log is not written, and the status says so."""
    nowhere = LogSpec(path="/nonexistent/web.log")
    api = await serve(sleeper(stdout=nowhere))
    (web,) = (await api.get("/api/v1/processes", wire.ProcessList)).processes
    assert web.stdout_log == "/nonexistent/web.log"
    assert "No such file or directory" in web.log_problem


async def test_what_is_no_text_hides_nothing_else(serve: Serve) -> None:
    """A name from a variable of the environment may hold any bytes; JSON can't (PEP 383)."""
    odd = "b\udcff"
    api = await serve(sleeper(odd, group="odd", labels=(("team", odd),)), sleeper("web"))
    told = await api.get("/api/v1/processes", wire.ProcessList)
    assert [one.name for one in told.processes] == ["odd:b\\udcff", "web"]
    started = await api.act("restart", "odd:*")
    assert [one.name for one in started] == ["odd:b\\udcff"]
    async with api.events("/api/v1/events?replay=100") as events:
        about = [one.fields["process"] for one in await take(events, 6)]
    assert "odd:b\\udcff" in about
    assert api.errors == []
