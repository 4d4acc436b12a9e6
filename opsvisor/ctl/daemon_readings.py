"""`metrics` of the daemon itself: what is known of it, subject by subject."""

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
    size,
    tell,
)


def daemon_lines(samples: Sequence[Sample], now: float) -> list[Line]:
    """All that is known of the daemon itself."""
    readings = Readings(samples, now)
    readings.ignore("python_", "process_virtual", "process_max", "opsvisor_collector_duration")
    return tell(readings, _SPEAKERS)


def _daemon(readings: Readings) -> Line:
    readings.by("opsvisor_supervisor_state", "state")
    build = readings.facts("opsvisor_build_info")
    readings.value("process_start_time_seconds")
    since = readings.value("opsvisor_start_time_seconds")
    facts = [f"{key.replace('_version', '')} {value}" for key, value in build.items() if value]
    upgrades = readings.by("opsvisor_upgrades_total", "result")
    facts += [f"{counted(count, 'upgrade')} {what}" for what, count in upgrades.items() if count]
    return Line("Daemon", [*known((since, lambda at: f"for {ago(readings, at)}")), *facts])


def _configuration(readings: Readings) -> Line:
    prefix = "opsvisor_config_"
    ok = readings.value(f"{prefix}last_reload_successful")
    at = readings.value(f"{prefix}last_reload_success_timestamp_seconds")
    loads = readings.value(f"{prefix}reloads_total")
    refused = readings.value(f"{prefix}reload_failures_total")
    changes = readings.by(f"{prefix}process_changes_total", "change")
    facts = known(
        (0.0 if ok == 0 else None, lambda _: "the last one was refused"),
        (at, lambda when: f"loaded {ago(readings, when)} ago"),
        (loads, lambda count: counted(count, "load")),
        (refused or None, lambda count: f"{number(count)} refused"),
        (readings.value(f"{prefix}hash"), lambda digest: f"hash {int(digest):012x}"),
    )
    facts += [
        f"{counted(count, 'process', 'processes')} {change}"
        for change, count in changes.items()
        if count
    ]
    return Line("Configuration", facts, ok == 0)


def _loop(readings: Readings) -> Line:
    lag = readings.mean("opsvisor_event_loop_lag_seconds")
    facts = known(
        (lag, lambda seconds: f"late by {length(seconds)} on average"),
        (readings.value("opsvisor_tasks"), lambda count: counted(count, "task")),
    )
    return Line("Loop", facts)


def _children(readings: Readings) -> Line:
    ready = readings.mean("opsvisor_process_ready_duration_seconds")
    readings.value("opsvisor_process_ready_duration_seconds_count")
    orphans = readings.value("opsvisor_orphans_reaped_total")
    facts = _done(readings, "opsvisor_spawn_duration_seconds", "spawned")
    facts += known((ready, lambda seconds: f"ready after {length(seconds)} on average"))
    facts += _done(readings, "opsvisor_child_reap_duration_seconds", "reaped")
    facts += known((orphans or None, lambda count: counted(count, "orphan")))
    return Line("Children", facts)


def _done(readings: Readings, histogram: str, word: str) -> list[str]:
    """How often something was done, and in what time: `12 spawned, in 2.1 ms on average`."""
    count, mean = readings.value(f"{histogram}_count"), readings.mean(histogram)
    if count is None:
        return []
    return [f"{number(count)} {word}{'' if mean is None else f', in {length(mean)} on average'}"]


def _sampling(readings: Readings) -> Line:
    collectors = readings.by("opsvisor_collector_success", "collector")
    failed = [name for name, value in collectors.items() if value != 1]
    facts = known(
        (
            readings.value("opsvisor_resource_sample_timestamp_seconds") or None,
            lambda at: f"last {ago(readings, at)} ago",
        ),
        (
            readings.mean("opsvisor_resource_sample_duration_seconds"),
            lambda seconds: f"{length(seconds)} on average",
        ),
    )
    facts += [f"{name} could not be collected" for name in failed]
    return Line("Sampling", facts, bool(failed))


def _api(readings: Readings) -> Line:
    codes = readings.by("opsvisor_http_requests_total", "code")
    for suffix in ("bucket", "count", "sum"):
        readings.by(f"opsvisor_http_request_duration_seconds_{suffix}", "handler")
    refused = sum(count for code, count in codes.items() if code.startswith("4"))
    failed = sum(count for code, count in codes.items() if code.startswith("5"))
    streams = readings.by("opsvisor_http_streams_active", "stream")
    facts = known(
        (sum(codes.values()) or None, lambda count: counted(count, "request")),
        (refused or None, lambda count: f"{number(count)} refused"),
        (failed or None, lambda count: f"{number(count)} failed"),
        (
            readings.value("opsvisor_http_requests_in_flight"),
            lambda count: f"{number(count)} in flight",
        ),
    )
    facts += [f"{counted(count, 'stream')} of {name}" for name, count in streams.items() if count]
    return Line("API", facts, bool(failed))


def _clients(readings: Readings) -> Line:
    """Connections of each listener, and who was turned away at any of them."""
    held = readings.by("opsvisor_http_connections", "listener")
    most = readings.by("opsvisor_http_connections_max", "listener")
    facts = [
        f"{number(count)} of {number(most.get(name, 0))} at {name}" for name, count in held.items()
    ]
    refused = sum(readings.by("opsvisor_http_connections_refused_total", "listener").values())
    cut = sum(readings.by("opsvisor_http_connections_cut_total", "reason").values())
    wrong = sum(readings.by("opsvisor_http_auth_failures_total", "listener").values())
    unread = sum(readings.by("opsvisor_http_auth_limited_total", "listener").values())
    facts += known(
        (refused or None, lambda count: f"{number(count)} found no room"),
        (cut or None, lambda count: f"{number(count)} cut off"),
        (wrong or None, lambda count: counted(count, "failed login")),
        (unread or None, lambda count: f"{number(count)} of them not looked at"),
    )
    return Line("Clients", facts)


def _certificates(readings: Readings) -> Line:
    """Until when what each listener shows is valid, and whether it is what it should be."""
    until = readings.by("opsvisor_tls_certificate_not_after_timestamp_seconds", "listener")
    reloads = readings.by("opsvisor_tls_certificate_last_reload_successful", "listener")
    failures = sum(readings.by("opsvisor_tls_handshake_failures_total", "listener").values())
    left = {name: at - readings.now for name, at in until.items()}
    facts = [
        f"{name} valid for {length(seconds)}" if seconds > 0 else f"{name} has expired"
        for name, seconds in left.items()
    ]
    stale = [name for name, ok in reloads.items() if not ok]
    facts += [f"the new one of {name} can't be used" for name in stale]
    facts += known((failures or None, lambda count: counted(count, "failed handshake")))
    return Line("TLS", facts, bool(stale) or any(seconds <= 0 for seconds in left.values()))


def _actions(readings: Readings) -> Line:
    """What clients asked for, and whether it is written down who did."""
    results = readings.by("opsvisor_control_actions_total", "result")
    is_written = readings.value("opsvisor_audit_log_writable") != 0
    facts = [f"{number(count)} {result}" for result, count in results.items() if count]
    if not is_written:
        facts.append("the audit log can't be written")
    return Line("Actions", facts, not is_written)


def _events(readings: Readings) -> Line:
    total = sum(readings.by("opsvisor_events_total", "event").values())
    dropped = sum(readings.by("opsvisor_events_dropped_total", "subscriber").values())
    lengths = readings.by("opsvisor_event_queue_length", "subscriber")
    capacities = readings.by("opsvisor_event_queue_capacity", "subscriber")
    facts = known(
        (total or None, lambda count: f"{number(count)} published"),
        (dropped or None, lambda count: f"{number(count)} missed by slow subscribers"),
    )
    facts += [
        f"{number(waiting)} of {number(capacities.get(name, 0))} wait for {name}"
        for name, waiting in lengths.items()
    ]
    return Line("Events", facts, bool(dropped))


def _itself(readings: Readings) -> Line:
    errors = readings.by("opsvisor_internal_errors_total", "component")
    facts = known(
        (
            readings.value("process_cpu_seconds_total"),
            lambda seconds: f"{length(seconds)} of CPU",
        ),
        (
            readings.value("process_resident_memory_bytes"),
            lambda count: f"{size(count)} resident",
        ),
        (readings.value("process_open_fds"), lambda count: counted(count, "open file")),
    )
    facts += [f"{counted(count, 'bug')} met in {name}" for name, count in errors.items() if count]
    return Line("Itself", facts, any(errors.values()))


_SPEAKERS: tuple[Speaker, ...] = (
    _daemon,
    _configuration,
    _loop,
    _children,
    _sampling,
    _api,
    _clients,
    _certificates,
    _actions,
    _events,
    _itself,
)
