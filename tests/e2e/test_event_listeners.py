"""Listeners under the real daemon: told what happens, and harmless whatever they do."""

import signal
import time
from pathlib import Path

import pytest
from daemon import Daemon, StartDaemon, eventually, nothing_happens_for
from home import Dialect, Home, Programs
from procfs import descriptors_to_others, environment_of, status_of
from told import RECORDER, Told, told, until_told

UP = "PROCESS_STATE_RUNNING"


def listener(
    *options: str, name: str = "lis", command: str = f"{RECORDER} $HERE/told", events: str
) -> str:
    """A section for a listener that counts as up the moment it is spawned."""
    lines = [f"[eventlistener:{name}]", f"command = {command}", f"events = {events}"]
    return "\n".join([*lines, "startsecs = 0", *options, ""])


def program(name: str, command: str, *options: str) -> str:
    """A section for a program that is not started anew."""
    lines = [f"[program:{name}]", f"command = {command}", "startsecs = 0", "autorestart = false"]
    return "\n".join([*lines, *options, ""])


def start(start_daemon: StartDaemon, *sections: str, level: str = "debug") -> Daemon:
    """A daemon with these sections."""
    text = "\n".join(sections)
    return start_daemon(Programs(text, Dialect.INI), daemon=f"loglevel = {level}")


@pytest.fixture
def book(home: Home) -> Path:
    """Where the recorder notes what it was told."""
    return home.directory / "told"


# -- who does as is expected ---------------------------------------------------------------------


def test_a_listener_is_told_a_whole_life(start_daemon: StartDaemon, book: Path) -> None:
    """From before it was started, in order and fully numbered."""
    daemon = start(
        start_daemon,
        listener("buffer_size = 50", events="EVENT"),
        program("job", "sh -c 'echo hello; exit 3'", "stdout_events_enabled = true"),
    )
    events = until_told(book, "PROCESS_STATE_EXITED")
    pid = _pid(events, "job")
    lis, job = ("processname:lis groupname:lis", "processname:job groupname:job")
    assert [str(event) for event in events if not event.name.startswith("TICK")] == [
        "PROCESS_GROUP_ADDED groupname:lis\n",
        "PROCESS_GROUP_ADDED groupname:job\n",
        "SUPERVISOR_STATE_CHANGE_RUNNING ",
        f"PROCESS_STATE_STARTING {lis} from_state:STOPPED tries:0",
        f"PROCESS_STATE_STARTING {job} from_state:STOPPED tries:0",
        f"{UP} {lis} from_state:STARTING pid:{daemon.status('lis').pid}",
        f"{UP} {job} from_state:STARTING pid:{pid}",
        f"PROCESS_LOG_STDOUT {job} pid:{pid} channel:stdout\nhello\n",
        f"PROCESS_STATE_EXITED {job} from_state:RUNNING expected:0 pid:{pid}",
    ]
    for number, event in enumerate(events):
        assert event.headers == {
            "ver": "3.0",
            "server": "supervisor",
            "serial": str(number),
            "pool": "lis",
            "poolserial": str(number),
            "eventname": event.name,
            "len": str(len(event.payload)),
        }
    daemon.until_logged("event 0 sent to listener lis")


def _pid(events: list[Told], name: str) -> str:
    """The process that ran under this name, by what was told of it."""
    (running,) = [e for e in events if e.name == UP and e.fields["processname"] == name]
    return running.fields["pid"]


def test_a_listener_of_one_line_of_shell(start_daemon: StartDaemon, home: Home) -> None:
    """The countless ones: READY, a line, RESULT, for ever."""
    script = (
        'printf "READY\\n"; while read -r line; do echo "$line" >>$HERE/lines;'
        ' printf "RESULT 2\\nOKREADY\\n"; done'
    ).replace("$HERE", str(home.directory))
    file = home.directory / "listener.sh"
    file.write_text(script)
    daemon = start(
        start_daemon,
        listener(command=f"sh {file}", events="PROCESS_STATE_EXITED"),
        program("job", "true"),
    )
    lines = home.directory / "lines"
    eventually(lambda: lines.exists() and "eventname:PROCESS_STATE_EXITED" in lines.read_text())
    daemon.ctl("start", "job")
    # What follows a line is read with the next one, since a payload ends in no newline.
    eventually(lambda: "processname:job" in lines.read_text())
    assert "UNKNOWN" not in daemon.log


def test_what_it_prints_is_in_its_log_too(
    start_daemon: StartDaemon, home: Home, book: Path
) -> None:
    """As with Supervisor: answers can be looked at, and errors apart from them."""
    daemon = start(
        start_daemon,
        listener("stdout_logfile = $HERE/answers", events="PROCESS_STATE_EXITED"),
        program("job", "true"),
    )
    until_told(book, "job")
    answers = home.directory / "answers"
    eventually(lambda: answers.read_text() == "READY\nRESULT 2\nOKREADY\n")
    assert daemon.output_of("lis") == answers.read_text()


def test_ticks_are_told_on_the_second(start_daemon: StartDaemon, book: Path) -> None:
    """At multiples of five seconds of the wall clock."""
    start(start_daemon, listener(events="TICK_5"))
    (event, *_) = until_told(book, "TICK_5")
    assert int(event.fields["when"]) % 5 == 0


def test_without_ticks_the_daemon_sleeps(start_daemon: StartDaemon, book: Path) -> None:
    """A subscription to anything else wakes nobody."""
    daemon = start(start_daemon, listener(events="PROCESS_STATE_RUNNING"))
    until_told(book, "processname:lis")
    eventually(lambda: daemon.log.count("ACKNOWLEDGED -> READY") == 2)
    nothing_happens_for(0.5)  # let go of what was asked of it so far
    before = _wake_ups(daemon.pid)
    nothing_happens_for(1.5)
    assert _wake_ups(daemon.pid) - before <= 1


def _wake_ups(pid: int) -> int:
    return int(status_of(pid)["voluntary_ctxt_switches"])


def test_messages_and_output_of_both_streams(start_daemon: StartDaemon, book: Path) -> None:
    """PROCESS_LOG where it is switched on, PROCESS_COMMUNICATION where something is captured."""
    script = (
        "printf '<!--XSUPERVISOR:BEGIN-->psst<!--XSUPERVISOR:END-->and aloud\\n'; echo oops >&2"
    )
    start(
        start_daemon,
        listener(events="PROCESS_LOG, PROCESS_COMMUNICATION"),
        program(
            "job",
            f'sh -c "{script}"',
            "stdout_capture_maxbytes = 1KB",
            "stderr_events_enabled = 1",
        ),
    )
    events = until_told(book, "psst")
    events = until_told(book, "oops")
    by_name = {event.name: event.payload.partition("\n")[2] for event in events}
    assert by_name == {"PROCESS_COMMUNICATION_STDOUT": "psst", "PROCESS_LOG_STDERR": "oops\n"}


def test_long_output_passes_a_pipe_that_is_smaller(start_daemon: StartDaemon, book: Path) -> None:
    """Written as the listener reads it, whole and in characters, umlauts included."""
    size = 300_000
    script = f"import os; os.write(1, b'\\xc3\\xbc' * {size // 2}); os.write(1, b'end')"
    start(
        start_daemon,
        listener("buffer_size = 100", events="PROCESS_LOG"),
        program("job", f'python3 -c "{script}"', "stdout_events_enabled = true"),
    )
    events = until_told(book, "end")
    text = "".join(event.payload.partition("\n")[2] for event in events)
    assert text == "ü" * (size // 2) + "end"
    assert max(len(event.payload) for event in events) > 65536


# -- who does not --------------------------------------------------------------------------------


def test_a_rejected_event_is_told_again(start_daemon: StartDaemon, book: Path) -> None:
    """With its old numbers, until it is accepted; a result that isn't OK is a rejection."""
    daemon = start(
        start_daemon,
        listener(command=f"{RECORDER} $HERE/told fail long", events="PROCESS_STATE_EXITED"),
        listener(name="other", command=f"{RECORDER} $HERE/other", events="REMOTE_COMMUNICATION"),
        program("job", "true"),
    )
    eventually(lambda: daemon.log.count("lis: event was processed") == 1)
    events = told(book)
    assert [event.headers["serial"] for event in events] == ["0"] * 3
    assert len({event.payload for event in events}) == 1
    assert daemon.log.count("WARN lis: event was rejected") == 2
    assert daemon.log.count("DEBG rebuffering event 0 for pool lis (buf size=0, max=10)") == 2
    assert told(book.with_name("other")) == []  # with Supervisor it would have it now


def test_the_event_of_a_listener_that_died_is_told_to_the_next(
    start_daemon: StartDaemon, book: Path
) -> None:
    """Here to its own next run, which begins without knowing of it."""
    start(
        start_daemon,
        listener(command=f"{RECORDER} $HERE/told die", events="PROCESS_STATE_EXITED"),
        program("job", "true"),
    )
    eventually(lambda: len(told(book)) >= 2)
    first, second, *_ = told(book)
    assert first == second


def test_a_listener_that_hangs_holds_up_nothing(start_daemon: StartDaemon, book: Path) -> None:
    """Programs live and die as ever; its pool drops the oldest events and says so."""
    daemon = start(
        start_daemon,
        listener(
            "buffer_size = 2",
            command=f"{RECORDER} $HERE/told hang",
            events="PROCESS_STATE_EXITED",
        ),
        program("job", "true", "autostart = false"),
    )
    daemon.until_logged("ACKNOWLEDGED -> READY")
    for _ in range(6):
        daemon.ctl("start", "job")
        daemon.until("job", "EXITED")
    daemon.until_logged("ERRO pool lis event buffer overflowed, discarding event 3")
    assert "discarding event 4" not in daemon.log
    assert daemon.metric("opsvisor_events_dropped_total", subscriber="eventlistener:lis") == 3
    assert [event.headers["serial"] for event in told(book)] == ["0"]
    assert daemon.status("lis").state == "RUNNING"


def test_junk_makes_a_listener_unknown(start_daemon: StartDaemon, book: Path) -> None:
    """It runs on, and hears again after a restart."""
    daemon = start(
        start_daemon,
        listener(command=f"{RECORDER} $HERE/told junk", events="PROCESS_STATE_EXITED"),
        program("job", "true"),
    )
    daemon.until_logged(
        "WARN lis: has entered the UNKNOWN state and will no longer receive events, this usually"
        " indicates the process violated the eventlistener protocol"
    )
    daemon.until_logged("WARN lis: bad result line: 'what was that?'")
    assert daemon.status("lis").state == "RUNNING"
    daemon.ctl("restart", "lis")
    eventually(lambda: len(told(book)) == 2)
    assert told(book)[0] == told(book)[1]


def test_a_flood_from_a_listener_drowns_nobody(start_daemon: StartDaemon) -> None:
    """It is unknown after six bytes; from there its output is only a log, bounded as all are."""
    daemon = start(
        start_daemon,
        listener(
            "stdout_logfile_maxbytes = 1MB",
            "stdout_logfile_backups = 0",
            command="yes",
            events="EVENT",
        ),
        program("job", "sleep 1000", "autostart = false"),
        level="warn",
    )
    daemon.until_logged("lis: has entered the UNKNOWN state")
    before = _memory(daemon.pid)
    for _ in range(3):
        daemon.ctl("start", "job")
        daemon.until("job", "RUNNING")
        daemon.ctl("stop", "job")
        daemon.until("job", "STOPPED")
    assert _memory(daemon.pid) - before < 8 * 1024, "KiB of growth"


def test_a_result_without_end_is_no_leak(start_daemon: StartDaemon, home: Home) -> None:
    """A line that goes on for ever, where a length was due."""
    file = home.directory / "endless.sh"
    file.write_text(
        'printf "READY\\n"; read line; printf "RESULT "; exec tr "\\\\0" 1 </dev/zero\n'
    )
    daemon = start(
        start_daemon,
        listener("stdout_logfile = NONE", command=f"sh {file}", events="PROCESS_GROUP_ADDED"),
        level="warn",
    )
    daemon.until_logged("lis: bad result line: 'RESULT 1111")
    before = _memory(daemon.pid)
    nothing_happens_for(0.5)  # for as long as it likes to print
    assert _memory(daemon.pid) - before < 8 * 1024, "KiB of growth"


def _memory(pid: int) -> int:
    return int(status_of(pid)["VmRSS"].split()[0])


def test_a_listener_that_always_refuses_delays_nobody(
    start_daemon: StartDaemon, home: Home
) -> None:
    """It is told one event ten thousand times a second; programs are started all the same."""
    file = home.directory / "refuse.sh"
    file.write_text(
        'while :; do printf "READY\\n"; read -r line; printf "RESULT 4\\nFAIL"; done\n'
    )
    daemon = start(
        start_daemon,
        listener(command=f"bash {file}", events="PROCESS_STATE_STARTING"),
        program("job", "sleep 1000", "autostart = false"),
        level="error",
    )
    before = _memory(daemon.pid)
    for _ in range(3):
        daemon.ctl("start", "job")
        daemon.until("job", "RUNNING")
        daemon.ctl("stop", "job")
        daemon.until("job", "STOPPED")
    assert _memory(daemon.pid) - before < 8 * 1024, "KiB of growth"


def test_a_listener_that_reads_nothing_pins_one_event(
    start_daemon: StartDaemon, home: Home
) -> None:
    """It says READY and OK without ever reading: what does not fit its pipe waits, the rest drops.

    When it is stopped, nothing of it stays open.
    """
    file = home.directory / "deaf.sh"
    file.write_text('while :; do printf "READY\\n"; sleep 0.05; printf "RESULT 2\\nOK"; done\n')
    flood = "import os\nfor _ in range(40): os.write(1, b'x' * 60000 + b'\\n')\n"
    (home.directory / "flood.py").write_text(flood)
    daemon = start(
        start_daemon,
        listener(
            "buffer_size = 3",
            "stopasgroup = true",  # the shell leaves its sleep behind
            command=f"sh {file}",
            events="PROCESS_LOG",
        ),
        program("job", "python3 $HERE/flood.py", "stdout_events_enabled = 1", "autostart = false"),
    )
    before = len(descriptors_to_others(daemon.pid))
    for _ in range(4):
        daemon.ctl("start", "job")
        daemon.until("job", "EXITED")
    daemon.until_logged("ERRO pool lis event buffer overflowed")
    daemon.ctl("stop", "lis")
    daemon.until("lis", "STOPPED")
    assert len(descriptors_to_others(daemon.pid)) < before


def test_a_listener_that_closed_its_input_is_passed_over(
    start_daemon: StartDaemon, home: Home, book: Path
) -> None:
    """Its colleague in the pool is told instead."""
    file = home.directory / "colleagues.sh"
    file.write_text(
        'if [ "$SUPERVISOR_PROCESS_NAME" = l0 ]; then exec <&-; printf "READY\\n"; exec sleep 999;'
        f" fi; exec {RECORDER} {book}\n"
    )
    daemon = start(
        start_daemon,
        listener(
            "numprocs = 2",
            "process_name = l%(process_num)d",
            command=f"sh {file}",
            events="PROCESS_STATE_EXITED",
        ),
        program("job", "true", "autostart = false"),
    )
    eventually(lambda: daemon.log.count("ACKNOWLEDGED -> READY") == 2)
    daemon.ctl("start", "job")
    until_told(book, "job")
    daemon.until_logged("epipe occurred while sending event 0 to listener l0")


# -- changes and ends ----------------------------------------------------------------------------


def test_pools_follow_the_files(start_daemon: StartDaemon, home: Home, book: Path) -> None:
    """A listener is added, changes what it hears, and is removed, while all else runs on."""
    job = program("job", "true", "autostart = false")
    daemon = start(start_daemon, job)
    home.rewrite(job + listener(events="PROCESS_STATE_EXITED"))
    daemon.ctl("reread")
    daemon.ctl("update")
    daemon.ctl("start", "job")
    events = until_told(book, "job")
    assert [event.name for event in events] == ["PROCESS_STATE_EXITED"]
    pid = daemon.status("lis").pid

    home.rewrite(job + listener(events="PROCESS_STATE_STARTING"))
    daemon.ctl("reread")
    daemon.ctl("update")
    daemon.ctl("start", "job")
    until_told(book, "PROCESS_STATE_STARTING", "job")
    assert daemon.status("lis").pid == pid, "its pool changed, not its process"

    home.rewrite(
        job + listener(name="two", command=f"{RECORDER} $HERE/two", events="PROCESS_GROUP")
    )
    daemon.ctl("reread")
    daemon.ctl("update")
    events = until_told(book.with_name("two"), "PROCESS_GROUP_REMOVED")
    assert [str(event) for event in events] == [
        "PROCESS_GROUP_ADDED groupname:two\n",
        "PROCESS_GROUP_REMOVED groupname:lis\n",
    ]


def test_a_pool_is_stopped_last(start_daemon: StartDaemon, book: Path) -> None:
    """It is told of the end of the others, and answers, while it is up."""
    daemon = start(
        start_daemon,
        listener("buffer_size = 50", events="SUPERVISOR_STATE_CHANGE, PROCESS_STATE"),
        program("job", "sleep 1000"),
    )
    until_told(book, UP, "job")
    daemon.signal(signal.SIGTERM)
    daemon.wait()
    log = daemon.log
    assert log.index("stopped: job") < log.index("killing lis (pid")
    names = [event.name for event in told(book)]
    assert names[names.index("SUPERVISOR_STATE_CHANGE_STOPPING") :] == [
        "SUPERVISOR_STATE_CHANGE_STOPPING",
        "PROCESS_STATE_STOPPING",
        "PROCESS_STATE_STOPPED",
    ]


def test_all_of_an_end_is_told_before_listeners_are_stopped(
    start_daemon: StartDaemon, book: Path
) -> None:
    """Also where everything before it has been answered: an end is more than one fact."""
    last = "while [ $(grep -c _STATE_STOPPING $HERE/told) = 0 ]; do :; done; sleep 0.2; exit"
    daemon = start(
        start_daemon,
        listener("buffer_size = 50", events="PROCESS_STATE"),
        program("job", f"sh -c 'trap \"{last}\" TERM; while :; do sleep 0.1; done'"),
    )
    until_told(book, UP, "job")
    daemon.terminate()
    assert [event.name for event in told(book)][-2:] == [
        "PROCESS_STATE_STOPPING",
        "PROCESS_STATE_STOPPED",
    ]


def test_a_listener_that_hangs_delays_the_end_by_a_second(
    start_daemon: StartDaemon, book: Path
) -> None:
    """That much is given to the last answers, as much as Supervisor takes between two groups."""
    daemon = start(
        start_daemon,
        listener(command=f"{RECORDER} $HERE/told hang", events="SUPERVISOR_STATE_CHANGE"),
    )
    until_told(book, "SUPERVISOR_STATE_CHANGE_RUNNING")
    began = time.monotonic()
    daemon.terminate()
    assert 0.9 < time.monotonic() - began < 5
    assert daemon.log.count("stopped: lis") == 1


def test_restart_in_a_loop_is_told_truthfully(start_daemon: StartDaemon, book: Path) -> None:
    """Restarts after a run are paced: from the second on, there is a BACKOFF after EXITED."""
    start(
        start_daemon,
        listener("buffer_size = 100", events="PROCESS_STATE"),
        program("job", "false", "autorestart = true"),
    )
    events = until_told(book, "PROCESS_STATE_STARTING", "job", "from_state:BACKOFF")
    moves = [
        f"{event.fields['from_state']} {event.name.removeprefix('PROCESS_STATE_')}"
        for event in events
        if event.fields["processname"] == "job"
    ]
    assert (
        moves[:9]
        == [
            "STOPPED STARTING",
            "STARTING RUNNING",
            "RUNNING EXITED",
            "EXITED STARTING",
            "STARTING RUNNING",
            "RUNNING EXITED",
            "EXITED BACKOFF",
            "BACKOFF STARTING",
            "STARTING RUNNING",
        ][: len(moves)]
    )
    (paced,) = [event for event in events if "BACKOFF" in event.name][:1]
    assert paced.fields["tries"] == "0"


def test_listeners_hear_of_the_daemon_they_talk_to(start_daemon: StartDaemon, home: Home) -> None:
    """In their environment, as every child of Supervisor does."""
    daemon = start(start_daemon, listener(events="TICK_3600"))
    pid = daemon.status("lis").pid
    assert pid is not None
    url = eventually(lambda: environment_of(pid).get("SUPERVISOR_SERVER_URL"))  # its exec goes on
    assert url == f"unix://{home.socket}"


def test_numbers_go_on_over_a_restart(start_daemon: StartDaemon, book: Path) -> None:
    """Of the daemon by HUP: `serial` counts its whole life, `poolserial` that of the pool."""
    daemon = start(start_daemon, listener(events="SUPERVISOR_STATE_CHANGE"))
    until_told(book, "SUPERVISOR_STATE_CHANGE_RUNNING")
    daemon.signal(signal.SIGHUP)
    eventually(lambda: len(told(book)) == 3)
    numbers = [(e.name[24:], e.headers["serial"], e.headers["poolserial"]) for e in told(book)]
    assert numbers == [("RUNNING", "0", "0"), ("STOPPING", "1", "1"), ("RUNNING", "2", "0")]
