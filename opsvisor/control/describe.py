"""What a process's state means, in words: for `status`, and for `why` at three in the morning."""

import datetime as dt
import shlex
import signal
import time
from typing import assert_never

from opsvisor.core.instant import Instant
from opsvisor.core.outcome import ExitCause, signal_name
from opsvisor.core.probes import (
    ExecProbe,
    HttpProbe,
    ProbeHandler,
    ProbeKind,
    ProbeSpec,
    ProbeView,
    TcpProbe,
)
from opsvisor.core.process import EXITED_TOO_QUICKLY
from opsvisor.core.restart import in_seconds, next_delay
from opsvisor.core.spec import (
    ExitSet,
    ExponentialBackoff,
    KillMode,
    LinearBackoff,
    OnEnd,
    ProcessSpec,
    Resources,
    RestartMode,
    Startup,
)
from opsvisor.core.state import PublicState
from opsvisor.core.view import ProcessView

_SHOWN_DELAYS = 5


def describe(view: ProcessView, now: Instant) -> str:
    """Supervisor's description of a process, to the letter: the last column of `status`."""
    match view.state:
        case PublicState.RUNNING:
            assert view.started is not None
            assert view.pid is not None
            return describe_running(view.pid, now.mono - view.started.mono)
        case PublicState.BACKOFF if not view.spawn_error:
            return view.reason  # a success that is to run again: Supervisor has no such BACKOFF
        case PublicState.FATAL | PublicState.BACKOFF:
            return view.spawn_error or f'unknown error (try "tail {view.id.name}")'
        case PublicState.STOPPED | PublicState.EXITED:
            if view.ended is None:
                return "Not started"
            # Local time, without its zone, as Supervisor prints it.
            return time.strftime("%b %d %I:%M %p", time.localtime(view.ended.wall))
        case PublicState.STARTING | PublicState.STOPPING | PublicState.UNKNOWN:
            return ""
        case never:
            assert_never(never)


def describe_running(pid: int, uptime: float) -> str:
    """As above, of a process that is RUNNING; `uptime` is in seconds."""
    return f"pid {pid}, uptime {dt.timedelta(seconds=max(0, int(uptime)))}"


def what_next(view: ProcessView, now: Instant) -> str:
    """What happens next by itself, and when."""
    due = max(0.0, view.retry_at - now.mono) if view.retry_at is not None else None
    match view.state:
        case PublicState.STOPPED:
            return "nothing: it stays stopped until somebody starts it"
        case PublicState.STARTING:
            return f"RUNNING once it has been up for {in_seconds(view.spec.min_uptime)}"
        case PublicState.RUNNING:
            return _after_exit(view.spec)
        case PublicState.BACKOFF:
            return f"the next attempt in {due or 0.0:.1f} s"
        case PublicState.STOPPING:
            if view.kills_survived:
                return "nothing can be done from here: it ignores SIGKILL, the kernel holds it"
            patience = in_seconds(view.spec.stop.kill_delay)
            return f"SIGKILL if it is not gone {patience} after the request"
        case PublicState.EXITED:
            return "nothing: its restart policy leaves it as it ended"
        case PublicState.FATAL:
            if due is None:
                return "nothing: it stays FATAL until somebody starts it"
            return f"it tries again in {due:.0f} s"
        case PublicState.UNKNOWN:
            return "nothing: opsvisord may not signal it"
        case never:
            assert_never(never)


def question(handler: ProbeHandler) -> str:
    """What a probe asks."""
    match handler:
        case HttpProbe(url=url):
            return f"GET {url}"
        case TcpProbe(host=host, port=port):
            return f"connect to {f'[{host}]' if ':' in host else host}:{port}"
        case ExecProbe(argv=argv):
            return f"run {shlex.join(argv)}"
        case never:
            assert_never(never)


def describe_policy(spec: ProcessSpec) -> list[str]:
    """The restart and stop policy as sentences."""
    restart = spec.restart
    lines = [f"restart: {_mode(spec)}"]
    if restart.early_exit_fails:
        retries = restart.failed_starts_max
        limit = "without limit" if retries is None else f"{retries} times, then FATAL"
        lines.append(
            f"an exit within {in_seconds(spec.min_uptime)} is a failed start, retried {limit}"
        )
    elif restart.failed_starts_max is not None:
        lines.append(f"FATAL after {restart.failed_starts_max} retries of a failed start")
    lines.append(f"delays after failed starts: {_delays(restart.start_backoff)}")
    lines.append(
        f"delays after crashes: none after the first, then {_delays(restart.run_backoff)};"
        f" forgotten after {in_seconds(restart.backoff_reset)} up"
    )
    if restart.limit is not None:
        lines.append(
            f"more than {restart.limit.count} automatic restarts in"
            f" {in_seconds(restart.limit.interval)}: FATAL"
        )
    if restart.fatal_retry_delay is not None and spec.on_fatal is OnEnd.KEEP:
        lines.append(f"out of FATAL by itself after {in_seconds(restart.fatal_retry_delay)}")
    for state, on_end in (("FATAL", spec.on_fatal), ("EXITED", spec.on_exit)):
        if on_end is OnEnd.SHUTDOWN:
            lines.append(f"when it is {state}, everything is stopped and opsvisord ends with it")
    lines.append(
        f"called flapping above {restart.flapping.count} restarts in"
        f" {in_seconds(restart.flapping.interval)}"
    )
    lines += [_asks(kind, probe) for kind in ProbeKind if (probe := spec.probe(kind))]
    if limits := _limits(spec.resources):
        lines.append(f"limits: {', '.join(limits)}")
    stop = spec.stop
    is_whole = stop.kill_mode is KillMode.CGROUP
    whom = "whole tree" if is_whole else stop.kill_mode.value
    lines.append(
        f"stop: {signal_name(stop.signal)} to the {stop.signal_mode.value},"
        f" SIGKILL to the {whom} after {in_seconds(stop.kill_delay)}"
    )
    return lines


def describe_place(place: str) -> str:
    """How all that comes of a process is found: in a cgroup made here, or without any ("")."""
    return f"cgroup {place}" if place else "process group + subreaper (no delegated cgroup)"


def describe_containment(spec: ProcessSpec, cgroup: str | None) -> str:
    """What a stop ends besides the process, and what that is found by."""
    match spec.stop.kill_mode:
        case KillMode.CGROUP:
            return f"ended with it: all that came of it, found by {describe_place(cgroup or '')}"
        case KillMode.GROUP:
            return "ended with it: its process group; what left that is left alone"
        case KillMode.PROCESS:
            return "ended with it: nothing; what came of it is left alone"
        case never:
            assert_never(never)


def _limits(resources: Resources) -> list[str]:
    """Those that are set, as they are written."""
    sizes = [("memory_max", resources.memory_max), ("memory_high", resources.memory_high)]
    found = [f"{name} {size // 1024} KiB" for name, size in sizes if size is not None]
    if resources.cpu_max is not None:
        found.append(f"cpu_max {resources.cpu_max:.0%}")
    if resources.pids_max is not None:
        found.append(f"pids_max {resources.pids_max}")
    return [*found, "oom_group"] if resources.oom_group else found


def _was_refused(view: ProcessView) -> bool:
    """Whether there was no run at all; `last_outcome` may be that of an earlier one."""
    failed = view.last_cause is ExitCause.START_FAILURE or view.last_outcome is None
    return failed and view.spawn_error != EXITED_TOO_QUICKLY


def hints(view: ProcessView, log_problem: str, limits_problem: str = "") -> list[str]:
    """What an operator can do about it."""
    name = shlex.quote(str(view.id))
    found = []
    if view.state in (PublicState.FATAL, PublicState.BACKOFF):
        if view.spawn_error.startswith(_ABOUT_ITS_COMMAND):
            found.append("correct `command` (or PATH, working_dir) and run: opsvisorctl update")
        elif _was_refused(view):
            found.append("correct what its reason names, there or on this host")
        else:
            found.append(f"read what it said: opsvisorctl logs -n 50 {name}")
        found.append(f"once the cause is gone: opsvisorctl start {name}")
    if view.flapping:
        found.append("it was restarted again and again: compare when and how its runs ended")
    if view.last_oom_killed:
        found.append(_OOM_HINT)
    elif view.last_cause is ExitCause.SIGNAL and view.last_outcome is not None:
        if not view.last_signal_asked:
            found.append(_signal_hint(view.last_outcome.signum))
    elif view.last_cause is ExitCause.UNKNOWN:
        found.append(_UNKNOWN_HINT)
    found += [_ask_yourself(probe, view.spec) for probe in view.probes if _is_in_doubt(probe)]
    if view.kills_survived:
        found.append(f"see what it waits for: cat /proc/{view.pid}/stack /proc/{view.pid}/wchan")
    if log_problem:
        found.append(f"make room, or correct `log`: {log_problem}")
    if limits_problem:
        found.append(f"its resources are not limited: {limits_problem}")
    if view.state is PublicState.STOPPED and view.ended is None:
        found.append(f"it is not started by itself ({_startup(view)}): opsvisorctl start {name}")
    elif view.state in (PublicState.STOPPED, PublicState.EXITED):
        found.append(f"to have it run again: opsvisorctl start {name}")
    return found


def _is_in_doubt(probe: ProbeView) -> bool:
    """Whether it fails, or was never passed though it was asked."""
    return probe.passing is False or (probe.passing is None and probe.failures > 0)


_OOM_HINT = (
    "the kernel killed it for want of memory: have it use less, or raise the limit that applies"
    " (memory.max of its cgroup); dmesg | grep -i 'killed process' has the sizes"
)


# How reasons begin for which a spawn was refused, see runtime/spawn.py.
_ABOUT_ITS_COMMAND = ("can't find", "command at", "couldn't exec", "couldn't chdir")
_UNKNOWN_HINT = (
    "it ended while no opsvisord was there, and this kernel does not tell how (Linux 6.15 and"
    " later do): what it said last is in its log"
)


def _asks(kind: ProbeKind, probe: ProbeSpec) -> str:
    wrong = probe.failure_threshold
    times = "one wrong answer" if wrong == 1 else f"{wrong} wrong answers in a row"
    what = "stopped and restarted as after a failure" if kind.is_vital else "not ready"
    return (
        f"{kind.value} probe: {question(probe.handler)}, every {in_seconds(probe.period)};"
        f" after {times} ({in_seconds(probe.timeout)} each) it is {what}"
    )


def _ask_yourself(view: ProbeView, spec: ProcessSpec) -> str:
    probe = spec.probe(view.kind)
    match probe.handler if probe is not None else None:
        case HttpProbe(url=url):
            how = f"curl -i {shlex.quote(url)}"
        case TcpProbe(host=host, port=port):
            how = f"nc -vz {host} {port}"
        case ExecProbe(argv=argv):
            how = shlex.join(argv)
        case None:
            how = "its question is gone from the configuration"
        case never:
            assert_never(never)
    return f"ask it what its {view.kind.value} probe asks: {how}"


def _signal_hint(signum: int | None) -> str:
    match signum:
        case signal.SIGKILL:
            return "SIGKILL from outside is often the OOM killer: dmesg | grep -i 'killed process'"
        case signal.SIGSEGV | signal.SIGBUS | signal.SIGILL | signal.SIGFPE | signal.SIGABRT:
            return "a fault of the program itself: look for a core dump (coredumpctl list)"
        case _:
            return "somebody else signals it: a cron job, a deploy script, another supervisor?"


def _startup(view: ProcessView) -> str:
    if view.spec.startup is Startup.ENABLED:
        return "stopped before its first start"
    return f"startup = {view.spec.startup.value}"


def _after_exit(spec: ProcessSpec) -> str:
    match spec.restart.mode:
        case RestartMode.ALWAYS:
            return "restarted whenever it ends"
        case RestartMode.ON_FAILURE:
            return f"restarted when it ends with anything but {_exits(spec.restart.success)}"
        case RestartMode.NO:
            return "left as it is when it ends"
        case never:
            assert_never(never)


def _mode(spec: ProcessSpec) -> str:
    match spec.restart.mode:
        case RestartMode.ON_FAILURE:
            return f"on failure, success is {_exits(spec.restart.success)}"
        case RestartMode.ALWAYS:
            return "after every end"
        case RestartMode.NO:
            return "never"
        case never:
            assert_never(never)


def _exits(exits: ExitSet) -> str:
    names = [str(code) for code in sorted(exits.codes)]
    names += [signal_name(signum) for signum in sorted(exits.signals)]
    return f"exit {', '.join(names)}" if names else "no exit at all"


def _delays(backoff: LinearBackoff | ExponentialBackoff) -> str:
    shown = ", ".join(
        f"{next_delay(backoff, attempt, 0.0):g}" for attempt in range(1, _SHOWN_DELAYS + 1)
    )
    match backoff:
        case LinearBackoff():
            return f"{shown} … s"
        case ExponentialBackoff():
            jitter = f", plus up to {backoff.jitter:.0%}" if backoff.jitter else ""
            return f"{shown} … at most {in_seconds(backoff.limit)}{jitter}"
        case never:
            assert_never(never)
