"""`metrics` of a process: what is known of it, subject by subject."""

from collections.abc import Sequence

from opsvisor.client import Sample
from opsvisor.ctl.readings import (
    Line,
    Readings,
    Speaker,
    ago,
    counted,
    known,
    length,
    number,
    percent,
    size,
    tell,
)

_PROCESS = "opsvisor_process_"
_LOG = "opsvisor_log_"
_HEALTH = "opsvisor_health_check_"
_NEARLY_ALL = 0.9  # of a limit: time to look


def process_lines(samples: Sequence[Sample], now: float) -> list[Line]:
    """All that is known of one process."""
    readings = Readings(samples, now)
    return tell(readings, _SPEAKERS)


def _state(readings: Readings) -> Line:
    readings.by(f"{_PROCESS}state", "state")
    readings.value(f"{_PROCESS}state_code")
    since = readings.value(f"{_PROCESS}state_entered_timestamp_seconds")
    started = readings.value(f"{_PROCESS}start_time_seconds")
    ready = readings.value(f"{_PROCESS}ready")
    is_up = readings.value(f"{_PROCESS}up") == 1
    is_wanted = readings.value(f"{_PROCESS}expected_running")
    took = readings.value(f"{_PROCESS}last_ready_duration_seconds")
    flapping = readings.value(f"{_PROCESS}flapping") == 1
    unkillable = readings.value(f"{_PROCESS}unkillable") == 1
    facts = known(
        (since, lambda at: f"for {ago(readings, at)}"),
        (started if is_up else None, lambda at: f"started {ago(readings, at)} ago"),
        (ready if is_up else None, lambda yes: "ready" if yes else "not ready"),
        (is_wanted, lambda yes: "should be running" if yes else "need not run"),
        (took, lambda seconds: f"ready after {length(seconds)}"),
    )
    facts += ["flapping"] * flapping + ["outlives SIGKILL"] * unkillable
    is_missed = is_wanted == 1 and not is_up
    return Line("State", facts, flapping or unkillable or is_missed)


def _availability(readings: Readings) -> Line:
    ran = readings.value(f"{_PROCESS}running_seconds_total")
    wanted = readings.value(f"{_PROCESS}expected_seconds_total")
    if ran is None or not wanted:
        return Line("Available", known((ran, lambda seconds: f"ran {length(seconds)}")))
    share = min(1.0, ran / wanted)
    return Line(
        "Available", [f"{percent(share)} of {length(wanted)} in which it should have been running"]
    )


def _starts(readings: Readings) -> Line:
    starts = readings.value(f"{_PROCESS}starts_total")
    failures = readings.value(f"{_PROCESS}spawn_failures_total")
    reasons = readings.by(f"{_PROCESS}restarts_total", "reason")
    in_a_row = readings.value(f"{_PROCESS}start_retries")
    limit = readings.value(f"{_PROCESS}start_retries_limit")
    delay = readings.value(f"{_PROCESS}backoff_delay_seconds")
    retry_at = readings.value(f"{_PROCESS}next_retry_timestamp_seconds")
    oom_kills = readings.value(f"{_PROCESS}oom_kills_total")
    facts = known((starts, lambda count: counted(count, "start")))
    if reasons:
        what = ", ".join(f"{reason} {number(count)}" for reason, count in reasons.items() if count)
        total = counted(sum(reasons.values()), "restart")
        facts.append(f"{total}: {what}" if what else total)
    facts += known(
        (failures or None, lambda count: f"{number(count)} could not be made"),
        (oom_kills or None, lambda count: counted(count, "OOM kill")),
    )
    if in_a_row:
        of = f" of {number(limit)}" if limit is not None else ""
        facts.append(f"{number(in_a_row)}{of} failed in a row")
    facts += known(
        (retry_at, lambda at: f"next try in {length(max(0.0, at - readings.now))}"),
        (delay or None, lambda seconds: f"delay {length(seconds)}"),
    )
    return Line("Starts", facts, bool(in_a_row or failures or oom_kills))


def _health(readings: Readings) -> Line:
    ups = readings.by(f"{_HEALTH}up", "check")
    attempts = readings.by(f"{_HEALTH}attempts_total", "check")
    failures = readings.by(f"{_HEALTH}failures_total", "check")
    took = readings.by(f"{_HEALTH}last_duration_seconds", "check")
    facts = []
    for check in attempts | ups:
        state = {None: "idle", 0.0: "failing", 1.0: "passing"}.get(ups.get(check), "?")
        fact = f"{check} {state}"
        if check in attempts:
            fact += f", {number(failures.get(check, 0))} of {number(attempts[check])} failed"
        if check in took:
            fact += f", last took {length(took[check])}"
        facts.append(fact)
    return Line("Health", facts, any(value == 0 for value in ups.values()))


def _cpu(readings: Readings) -> Line:
    modes = readings.by(f"{_PROCESS}cpu_seconds_total", "mode")
    limit = readings.value(f"{_PROCESS}cpu_limit_cpus")
    periods = readings.value(f"{_PROCESS}cpu_periods_total")
    throttled = readings.value(f"{_PROCESS}cpu_throttled_periods_total")
    held_back = readings.value(f"{_PROCESS}cpu_throttled_seconds_total")
    switches = readings.by(f"{_PROCESS}context_switches_total", "mode")
    facts = [f"{mode} {length(seconds)}" for mode, seconds in modes.items()]
    facts += known((limit, lambda cpus: f"limit {cpus:g} CPUs"))
    if periods:
        facts.append(f"throttled in {number(throttled or 0)} of {number(periods)} periods")
    facts += known((held_back or None, lambda seconds: f"held back for {length(seconds)}"))
    facts += [f"{number(count)} {mode} context switches" for mode, count in switches.items()]
    return Line("CPU", facts, bool(throttled))


def _memory(readings: Readings) -> Line:
    limit = readings.value(f"{_PROCESS}memory_limit_bytes")
    resident = readings.value(f"{_PROCESS}resident_memory_bytes")
    swapped = readings.value(f"{_PROCESS}swap_bytes")
    of = f" ({percent(resident / limit)} of the limit)" if limit and resident is not None else ""
    facts = known(
        (resident, lambda count: f"{size(count)} resident{of}"),
        (
            readings.value(f"{_PROCESS}proportional_memory_bytes"),
            lambda count: f"{size(count)} proportional",
        ),
        (
            swapped or None,
            lambda count: f"{size(count)} swapped out",
        ),
        (limit, lambda count: f"limit {size(count)}"),
        (
            readings.value(f"{_PROCESS}major_page_faults_total") or None,
            lambda count: counted(count, "major page fault"),
        ),
    )
    return Line("Memory", facts, bool(limit and resident and resident > _NEARLY_ALL * limit))


def _tree(readings: Readings) -> Line:
    zombies = readings.value(f"{_PROCESS}tree_zombies")
    facts = known(
        (
            readings.value(f"{_PROCESS}tree_processes"),
            lambda count: counted(count, "process", "processes"),
        ),
        (readings.value(f"{_PROCESS}threads"), lambda count: counted(count, "thread")),
        (zombies or None, lambda count: counted(count, "zombie")),
    )
    return Line("Tree", facts, bool(zombies))


def _descriptors(readings: Readings) -> Line:
    used = readings.value(f"{_PROCESS}fd_usage_ratio")
    facts = known(
        (readings.value(f"{_PROCESS}open_fds"), lambda count: f"{number(count)} open"),
        (readings.value(f"{_PROCESS}max_fds"), lambda count: f"limit {number(count)}"),
        (used, lambda ratio: f"the fullest member uses {percent(ratio)} of its limit"),
    )
    return Line("Files", facts, bool(used and used > _NEARLY_ALL))


def _storage(readings: Readings) -> Line:
    return Line(
        "Storage",
        known(
            (
                readings.value(f"{_PROCESS}io_read_bytes_total"),
                lambda count: f"{size(count)} read",
            ),
            (
                readings.value(f"{_PROCESS}io_written_bytes_total"),
                lambda count: f"{size(count)} written",
            ),
        ),
    )


def _output(readings: Readings) -> Line:
    sizes = readings.by(f"{_LOG}bytes_total", "stream")
    lines = readings.by(f"{_LOG}lines_total", "stream")
    dropped = sum(readings.by(f"{_LOG}dropped_lines_total", "stream").values())
    errors = readings.value(f"{_LOG}write_errors_total")
    in_files = readings.value(f"{_LOG}file_size_bytes")
    last = readings.value(f"{_LOG}last_output_timestamp_seconds")
    facts = [
        f"{stream} {size(count)} in {counted(lines.get(stream, 0), 'line')}"
        for stream, count in sizes.items()
        if count
    ]
    if sizes and not facts:
        facts.append("nothing yet")
    facts += known(
        (last, lambda at: f"last {ago(readings, at)} ago"),
        (dropped or None, lambda count: counted(count, "line dropped", "lines dropped")),
        (errors or None, lambda count: counted(count, "failed write")),
        (
            in_files or None,
            lambda count: f"files of {size(count)}",
        ),
        (
            readings.value(f"{_LOG}rotations_total") or None,
            lambda count: counted(count, "rotation"),
        ),
    )
    return Line("Output", facts, bool(dropped or errors))


def _last_exit(readings: Readings) -> Line:
    code = readings.value(f"{_PROCESS}last_exit_code")
    signum = readings.value(f"{_PROCESS}last_exit_signal")
    at = readings.value(f"{_PROCESS}last_exit_timestamp_seconds")
    facts = [f"signal {number(signum)}"] if signum else []
    facts += known(
        (code if not signum else None, lambda status: f"status {number(status)}"),
        (at, lambda when: f"{ago(readings, when)} ago"),
    )
    return Line("Last exit", facts)


def _about(readings: Readings) -> Line:
    facts = readings.facts(f"{_PROCESS}info") | readings.facts(f"{_PROCESS}labels")
    return Line("About", [f"{key} {value}" for key, value in facts.items() if value])


_SPEAKERS: tuple[Speaker, ...] = (
    _state,
    _availability,
    _starts,
    _last_exit,
    _health,
    _cpu,
    _memory,
    _tree,
    _descriptors,
    _storage,
    _output,
    _about,
)
