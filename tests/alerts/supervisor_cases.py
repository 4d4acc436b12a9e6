"""What the alerts about the daemon and its host make of what happens to them."""

from timeline import (
    NOTHING,
    OF_SUPERVISOR,
    STALE,
    Case,
    Shows,
    hold,
    of_process,
    of_supervisor,
    rise,
)

LONG = "30m"

STORM = "OpsvisorRestartStorm"
STORM_TEXT = "Many processes of a host restart at once."
STORM_MORE = (
    "different processes on shop-1:9001 restarted within 5m: look for a cause that they share"
    " (disk, memory, network, a deployment).\nRun there: opsvisorctl events --replay 50"
)


def host(*restarts: str, calm: int, up: str = "") -> tuple[dict[str, str], ...]:
    """Some processes with these counters of restarts, and others that never restart."""
    counters = [*restarts, *([hold(0, LONG)] * calm)]
    names = [f"p{number}" for number in range(len(counters))]
    return (
        *(
            of_process("opsvisor_process_restarts_total", values, process=name, reason="signal")
            for name, values in zip(names, counters, strict=True)
        ),
        *(of_process("opsvisor_process_up", up or hold(1, LONG), process=name) for name in names),
    )


ONE_RESTART = f"{hold(0, '3m')} {hold(1, LONG)}"

STORM_CASES = (
    Case(
        alert=STORM,
        shows=Shows.FIRES,
        claim="5 of 24 processes",
        series=host(*[ONE_RESTART] * 5, calm=19),
        fires={"4m45s": False, "5m": True},
        labels=OF_SUPERVISOR,
        summary=STORM_TEXT,
        description=f"5 {STORM_MORE}",
    ),
    Case(
        alert=STORM,
        shows=Shows.NEAR_MISS,
        claim="5 of 25: no more than a fifth",
        series=host(*[ONE_RESTART] * 5, calm=20),
        fires={"5m": False, "7m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=STORM,
        shows=Shows.NEAR_MISS,
        claim="4 of 10",
        series=host(*[ONE_RESTART] * 4, calm=6),
        fires={"5m": False, "7m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=STORM,
        shows=Shows.NEAR_MISS,
        claim="one that crashes all the time",
        series=host(rise(0, 1, LONG), calm=9),
        fires={"5m": False, "15m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=STORM,
        shows=Shows.RESOLVES,
        claim="five minutes after the last restart",
        series=host(*[ONE_RESTART] * 8, calm=8),
        fires={"7m30s": True, "8m15s": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=STORM,
        shows=Shows.MISSED_SCRAPE,
        claim="one failed scrape on the way",
        series=host(
            *[f"{hold(0, '3m')} {hold(1, '1m')} {STALE} {hold(1, LONG)}"] * 8,
            calm=8,
            up=f"{hold(1, '4m')} {STALE} {hold(1, LONG)}",
        ),
        fires={"4m45s": False, "5m": True},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=STORM,
        shows=Shows.LATE,
        claim="a new host with restarts from before the first scrape",
        series=host(
            *[f"{hold(NOTHING, '5m')} {hold(4, LONG)}"] * 8,
            calm=0,
            up=f"{hold(NOTHING, '5m')} {hold(1, LONG)}",
        ),
        fires={"7m": False, "9m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=STORM,
        shows=Shows.RESET,
        claim="the daemon began anew",
        series=host(*[f"{hold(9, '3m')} {hold(0, LONG)}"] * 8, calm=0),
        fires={"5m": False, "7m": False},
        labels=OF_SUPERVISOR,
    ),
)

DOWN = "OpsvisorDown"


def up(*values: str, **labels: str) -> dict[str, str]:
    """Whether the scrape succeeded; Prometheus makes it."""
    return of_supervisor("up", *values, **labels)


DOWN_CASES = (
    Case(
        alert=DOWN,
        shows=Shows.FIRES,
        claim="five minutes after it last answered",
        series=(up(hold(1, "3m"), hold(0, LONG)),),
        fires={"7m45s": False, "8m": True},
        labels=OF_SUPERVISOR,
        summary="opsvisor can't be scraped.",
        description="opsvisor on shop-1:9001 does not answer scrapes: nothing is known of its"
        " processes.\nRun there: opsvisorctl status",
    ),
    Case(
        alert=DOWN,
        shows=Shows.NEAR_MISS,
        claim="answers every 90 s",
        series=(up(*(f"1 {hold(0, '75s')}" for _ in range(12))),),
        fires={"5m": False, "10m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=DOWN,
        shows=Shows.RESOLVES,
        claim="answers again",
        series=(up(hold(0, "8m"), hold(1, LONG)),),
        fires={"7m45s": True, "8m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=DOWN,
        shows=Shows.MISSED_SCRAPE,
        claim="one failed scrape",
        series=(up(hold(1, "3m"), "0", hold(1, LONG)),),
        fires={"3m": False, "4m": False, "5m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=DOWN,
        shows=Shows.LATE,
        claim="a new host gets three minutes to boot, as its processes do to come up",
        series=(up(hold(NOTHING, "2m"), hold(0, LONG)),),
        fires={"4m45s": False, "5m": True},
        labels=OF_SUPERVISOR,
    ),
)

ABSENT = "OpsvisorAbsent"
NOWHERE = {"job": "opsvisor"}
ABSENT_CASES = (
    Case(
        alert=ABSENT,
        shows=Shows.FIRES,
        claim="only other jobs are known",
        series=(up(hold(1, LONG), job="node"),),
        fires={"14m45s": False, "15m": True},
        labels=NOWHERE,
        summary="Prometheus knows no opsvisor.",
        description='There is no target that matches {job="opsvisor"}: discovery or its'
        " configuration is broken, and no other alert about opsvisor can fire.",
    ),
    Case(
        alert=ABSENT,
        shows=Shows.NEAR_MISS,
        claim="one target, which is down",
        series=(up(hold(0, LONG)),),
        fires={"20m": False},
        labels=NOWHERE,
    ),
    Case(
        alert=ABSENT,
        shows=Shows.RESOLVES,
        claim="a target is found",
        series=(up(hold(NOTHING, "20m"), hold(1, LONG)),),
        fires={"19m45s": True, "20m": False},
        labels=NOWHERE,
    ),
    Case(
        alert=ABSENT,
        shows=Shows.MISSED_SCRAPE,
        claim="failed scrapes are scrapes",
        series=(up(hold(1, "5m"), hold(0, "20m")),),
        fires={"20m15s": False, "24m": False},
        labels=NOWHERE,
    ),
    Case(
        alert=ABSENT,
        shows=Shows.LATE,
        claim="Prometheus begins: its targets come within a minute",
        series=(up(hold(NOTHING, "1m"), hold(1, LONG)),),
        fires={"45s": False, "15m": False},
        labels=NOWHERE,
    ),
)

CRASH_LOOPING = "OpsvisorCrashLooping"


def process_start(*values: str) -> dict[str, str]:
    """When the daemon's process began."""
    return of_supervisor("process_start_time_seconds", *values)


CRASH_LOOPING_CASES = (
    Case(
        alert=CRASH_LOOPING,
        shows=Shows.FIRES,
        claim="the third new process within half an hour",
        series=(process_start(hold(0, "5m"), hold(300, "5m"), hold(600, "5m"), hold(900, "1h")),),
        fires={"14m45s": False, "15m": True},
        labels=OF_SUPERVISOR,
        summary="opsvisor itself is started again and again.",
        description="opsvisord on shop-1:9001 was started 3 times within 30m. In between nobody"
        " looked after its processes: a crash leaves them running, a shutdown stops them."
        "\nRun there: opsvisorctl maintail",
    ),
    Case(
        alert=CRASH_LOOPING,
        shows=Shows.NEAR_MISS,
        claim="two",
        series=(process_start(hold(0, "5m"), hold(300, "5m"), hold(600, LONG)),),
        fires={"15m": False, "25m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=CRASH_LOOPING,
        shows=Shows.NEAR_MISS,
        claim="many reloads: it begins anew, as the same process",
        series=(
            process_start(hold(0, LONG)),
            of_supervisor("opsvisor_start_time_seconds", rise(0, 15, LONG)),
        ),
        fires={"15m": False, "25m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=CRASH_LOOPING,
        shows=Shows.RESOLVES,
        claim="when one of the three is half an hour ago",
        series=(process_start(hold(0, "5m"), hold(300, "5m"), hold(600, "5m"), hold(900, "1h")),),
        fires={"34m30s": True, "35m15s": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=CRASH_LOOPING,
        shows=Shows.MISSED_SCRAPE,
        claim="failed scrapes at each start",
        series=(
            process_start(
                *(f"{hold(at, '2m')} {hold(STALE, '45s')}" for at in (0, 165, 330)),
                hold(495, LONG),
            ),
        ),
        fires={"8m": False, "8m15s": True},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=CRASH_LOOPING,
        shows=Shows.LATE,
        claim="a new host",
        series=(process_start(hold(NOTHING, "5m"), hold(300, LONG)),),
        fires={"5m": False, "20m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=CRASH_LOOPING,
        shows=Shows.RESET,
        claim="clocks set back once",
        series=(process_start(hold(5000, "5m"), hold(1400, LONG)),),
        fires={"5m": False, "20m": False},
        labels=OF_SUPERVISOR,
    ),
)

STUCK = "OpsvisorShutdownStuck"


def own_state(name: str, *values: str) -> dict[str, str]:
    """The one-hot series of a state of the daemon."""
    return of_supervisor("opsvisor_supervisor_state", *values, state=name)


STUCK_TEXT = "opsvisor is shutting down and does not get there."
STUCK_MORE = (
    "opsvisor on shop-1:9001 waits for processes that do not end, and starts none meanwhile."
    "\nRun there: opsvisorctl status"
)
RUNNING = own_state("running", hold(0, LONG))
STUCK_CASES = (
    Case(
        alert=STUCK,
        shows=Shows.FIRES,
        claim="stopping for ten minutes",
        series=(
            own_state("stopping", hold(0, "2m"), hold(1, LONG)),
            own_state("reloading", hold(0, LONG)),
            RUNNING,
        ),
        fires={"11m45s": False, "12m": True},
        labels=OF_SUPERVISOR,
        summary=STUCK_TEXT,
        description=STUCK_MORE,
    ),
    Case(
        alert=STUCK,
        shows=Shows.FIRES,
        claim="reloading for ten minutes",
        series=(own_state("reloading", hold(1, LONG)), own_state("stopping", hold(0, LONG))),
        fires={"9m45s": False, "10m": True},
        labels=OF_SUPERVISOR,
        summary=STUCK_TEXT,
        description=STUCK_MORE,
    ),
    Case(
        alert=STUCK,
        shows=Shows.NEAR_MISS,
        claim="done after nine and a half minutes",
        series=(own_state("reloading", hold(1, "9m30s"), hold(0, LONG)), RUNNING),
        fires={"9m15s": False, "10m": False, "15m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=STUCK,
        shows=Shows.NEAR_MISS,
        claim="running",
        series=(
            own_state("running", hold(1, LONG)),
            own_state("stopping", hold(0, LONG)),
            own_state("reloading", hold(0, LONG)),
        ),
        fires={"15m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=STUCK,
        shows=Shows.RESOLVES,
        claim="ended: gone when two minutes have passed",
        series=(own_state("stopping", hold(1, "12m"), STALE),),
        fires={"13m30s": True, "14m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=STUCK,
        shows=Shows.RESOLVES,
        claim="running again after a reload",
        series=(own_state("reloading", hold(1, "12m"), hold(0, LONG)),),
        fires={"11m45s": True, "12m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=STUCK,
        shows=Shows.MISSED_SCRAPE,
        claim="90 seconds without an answer",
        series=(own_state("stopping", hold(1, "5m"), hold(STALE, "90s"), hold(1, LONG)),),
        fires={"9m45s": False, "10m": True},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=STUCK,
        shows=Shows.LATE,
        claim="first seen when it is stopping",
        series=(own_state("stopping", hold(NOTHING, "2m"), hold(1, LONG)),),
        fires={"11m45s": False, "12m": True},
        labels=OF_SUPERVISOR,
    ),
)

RESTARTED = "OpsvisorRestarted"


def start_time(*values: str) -> dict[str, str]:
    """When the daemon began, or began anew."""
    return of_supervisor("opsvisor_start_time_seconds", *values)


RESTARTED_CASES = (
    Case(
        alert=RESTARTED,
        shows=Shows.FIRES,
        claim="at once",
        series=(start_time(hold(0, "5m"), hold(300, LONG)),),
        fires={"4m45s": False, "5m": True},
        labels=OF_SUPERVISOR,
        summary="opsvisor itself was restarted.",
        description="opsvisor on shop-1:9001 began anew 1 time(s) within 15m."
        "\nRun there: opsvisorctl maintail",
    ),
    Case(
        alert=RESTARTED,
        shows=Shows.NEAR_MISS,
        claim="it runs on",
        series=(start_time(hold(-9000, LONG)),),
        fires={"5m": False, "20m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=RESTARTED,
        shows=Shows.RESOLVES,
        claim="a quarter of an hour later",
        series=(start_time(hold(0, "5m"), hold(300, LONG)),),
        fires={"19m30s": True, "20m15s": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=RESTARTED,
        shows=Shows.MISSED_SCRAPE,
        claim="a failed scrape is no restart",
        series=(start_time(hold(0, "5m"), STALE, hold(0, LONG)),),
        fires={"5m": False, "5m15s": False, "10m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=RESTARTED,
        shows=Shows.LATE,
        claim="a new host",
        series=(start_time(hold(NOTHING, "5m"), hold(300, LONG)),),
        fires={"5m": False, "10m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=RESTARTED,
        shows=Shows.RESET,
        claim="a clock set back is a change as well",
        series=(start_time(hold(5000, "5m"), hold(1400, LONG)),),
        fires={"4m45s": False, "5m": True},
        labels=OF_SUPERVISOR,
    ),
)

RELOAD_FAILED = "OpsvisorConfigReloadFailed"


def reload_successful(*values: str) -> dict[str, str]:
    """Whether the last attempt to load the configuration succeeded."""
    return of_supervisor("opsvisor_config_last_reload_successful", *values)


RELOAD_FAILED_CASES = (
    Case(
        alert=RELOAD_FAILED,
        shows=Shows.FIRES,
        claim="for five minutes",
        series=(reload_successful(hold(1, "3m"), hold(0, LONG)),),
        fires={"7m45s": False, "8m": True},
        labels=OF_SUPERVISOR,
        summary="The configuration can't be loaded; the old one is still in use.",
        description="opsvisor on shop-1:9001 refuses its configuration, and would not come up with"
        " it.\nRun there: opsvisorctl reread",
    ),
    Case(
        alert=RELOAD_FAILED,
        shows=Shows.NEAR_MISS,
        claim="put right within four and a half minutes",
        series=(reload_successful(hold(0, "4m30s"), hold(1, LONG)),),
        fires={"4m15s": False, "5m": False, "10m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=RELOAD_FAILED,
        shows=Shows.RESOLVES,
        claim="put right",
        series=(reload_successful(hold(0, "8m"), hold(1, LONG)),),
        fires={"7m45s": True, "8m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=RELOAD_FAILED,
        shows=Shows.MISSED_SCRAPE,
        claim="90 seconds without an answer",
        series=(reload_successful(hold(0, "2m"), hold(STALE, "90s"), hold(0, LONG)),),
        fires={"4m45s": False, "5m": True},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=RELOAD_FAILED,
        shows=Shows.LATE,
        claim="so from the first scrape on",
        series=(reload_successful(hold(NOTHING, "2m"), hold(0, LONG)),),
        fires={"6m45s": False, "7m": True},
        labels=OF_SUPERVISOR,
    ),
)

EXPIRING = "OpsvisorCertificateExpiring"
_FORTNIGHT = 14 * 86_400  # the tests' clock begins at 0


def valid_until(*values: str) -> dict[str, str]:
    """Until when a listener's certificate is valid."""
    return of_supervisor(
        "opsvisor_tls_certificate_not_after_timestamp_seconds", *values, listener="http"
    )


OF_LISTENER = {**OF_SUPERVISOR, "listener": "http"}
EXPIRING_CASES = (
    Case(
        alert=EXPIRING,
        shows=Shows.FIRES,
        claim="for an hour, two weeks before",
        series=(valid_until(hold(_FORTNIGHT + 600, "2h")),),
        fires={"1h10m": False, "1h10m15s": True},
        labels=OF_LISTENER,
        summary="The certificate of opsvisor expires soon.",
        description="The certificate of listener http of opsvisor on shop-1:9001 is valid for"
        " 13d 22h 59m 45s more.\nRun there: opsvisorctl metrics",
    ),
    Case(
        alert=EXPIRING,
        shows=Shows.NEAR_MISS,
        claim="more than two weeks are left",
        series=(valid_until(hold(_FORTNIGHT + 7300, "2h")),),
        fires={"1h": False, "2h": False},
        labels=OF_LISTENER,
    ),
    Case(
        alert=EXPIRING,
        shows=Shows.RESOLVES,
        claim="renewed",
        series=(valid_until(hold(0, "90m"), hold(90 * 86_400, "1h")),),
        fires={"89m45s": True, "90m": False},
        labels=OF_LISTENER,
    ),
    Case(
        alert=EXPIRING,
        shows=Shows.MISSED_SCRAPE,
        claim="90 seconds without an answer",
        series=(valid_until(hold(0, "30m"), hold(STALE, "90s"), hold(0, "1h")),),
        fires={"59m45s": False, "1h": True},
        labels=OF_LISTENER,
    ),
    Case(
        alert=EXPIRING,
        shows=Shows.LATE,
        claim="so from the first scrape on",
        series=(valid_until(hold(NOTHING, "2m"), hold(0, "2h")),),
        fires={"1h1m45s": False, "1h2m": True},
        labels=OF_LISTENER,
    ),
)

LAGGING = "OpsvisorEventLoopLagging"
LAGGING_TEXT = "opsvisor reacts late."


def lag(*, late: str, length: str = LONG, before: str = "") -> tuple[dict[str, str], ...]:
    """1,000 turns a sample, of which so many (a rise per sample) are later than 0.5 s.

    All others are between 0.25 and 0.5 s late. `before`: for so long there were no turns at all.
    """
    start = hold(0, before) if before else ""
    in_time = 1000 - int(late)
    return tuple(
        of_supervisor(
            "opsvisor_event_loop_lag_seconds_bucket",
            start,
            rise(step, step, length),
            le=bound,
        )
        for bound, step in (("0.25", 0), ("0.5", in_time), ("1.0", 1000), ("+Inf", 1000))
    )


def first_quick_then_late() -> tuple[dict[str, str], ...]:
    """Ten minutes of turns that are on time, then eleven of 1,000 are late."""
    return tuple(
        of_supervisor(
            "opsvisor_event_loop_lag_seconds_bucket",
            rise(1000, 1000, "10m"),
            rise(40000 + step, step, "40m"),
            le=bound,
        )
        for bound, step in (("0.25", 989), ("0.5", 989), ("1.0", 1000), ("+Inf", 1000))
    )


LAGGING_CASES = (
    Case(
        alert=LAGGING,
        shows=Shows.FIRES,
        claim="11 of 1,000 turns later than half a second",
        series=lag(late="11"),
        fires={"10m": False, "10m15s": True},
        labels=OF_SUPERVISOR,
        summary=LAGGING_TEXT,
        description="opsvisor on shop-1:9001 is 545.5ms late (99th percentile): restarts and stops"
        " are, too.\nRun there: opsvisorctl maintail",
    ),
    Case(
        alert=LAGGING,
        shows=Shows.NEAR_MISS,
        claim="9 of 1,000",
        series=lag(late="9"),
        fires={"15m": False, "25m": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=LAGGING,
        shows=Shows.FIRES,
        claim="the turns of the last five minutes count",
        series=first_quick_then_late(),
        fires={"24m": False, "25m30s": True},
        labels=OF_SUPERVISOR,
        summary=LAGGING_TEXT,
        description="opsvisor on shop-1:9001 is 545.5ms late (99th percentile): restarts and stops"
        " are, too.\nRun there: opsvisorctl maintail",
    ),
    Case(
        alert=LAGGING,
        shows=Shows.RESOLVES,
        claim="on time again",
        series=tuple(
            of_supervisor(
                "opsvisor_event_loop_lag_seconds_bucket",
                rise(0, 20 if quick else 0, "12m"),
                rise(1000 if quick else 0, 1000, "20m"),
                le=bound,
            )
            for bound, quick in (("0.25", False), ("0.5", False), ("1.0", True), ("+Inf", True))
        ),
        fires={"12m": True, "15m30s": True, "15m45s": False},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=LAGGING,
        shows=Shows.MISSED_SCRAPE,
        claim="one failed scrape on the way",
        series=tuple(
            of_supervisor(
                "opsvisor_event_loop_lag_seconds_bucket",
                rise(step, step, "5m"),
                STALE,
                rise(22 * step, step, LONG),
                le=bound,
            )
            for bound, step in (("0.5", 900), ("1.0", 1000), ("+Inf", 1000))
        ),
        fires={"10m": False, "10m15s": True},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=LAGGING,
        shows=Shows.LATE,
        claim="no turns, no lag",
        series=lag(late="500", before="5m"),
        fires={"14m45s": False, "15m": True},
        labels=OF_SUPERVISOR,
    ),
    Case(
        alert=LAGGING,
        shows=Shows.RESET,
        claim="the daemon began anew",
        series=tuple(
            of_supervisor(
                "opsvisor_event_loop_lag_seconds_bucket",
                rise(start, step, "5m"),
                rise(step, step, LONG),
                le=bound,
            )
            for bound, start, step in (
                ("0.25", 10000, 999),
                ("0.5", 10000, 999),
                ("1.0", 90000, 1000),
                ("+Inf", 90000, 1000),
            )
        ),
        fires={"6m": False, "16m": False},
        labels=OF_SUPERVISOR,
    ),
)

EVENTS = "OpsvisorEventsDropped"
SUBSCRIBER = {**OF_SUPERVISOR, "subscriber": "events"}


def events_dropped(*values: str) -> dict[str, str]:
    """The counter of events that a subscriber missed."""
    return of_supervisor("opsvisor_events_dropped_total", *values, subscriber="events")


EVENTS_CASES = (
    Case(
        alert=EVENTS,
        shows=Shows.FIRES,
        claim="one event, at once",
        series=(events_dropped(hold(0, "5m"), hold(1, LONG)),),
        fires={"4m45s": False, "5m": True},
        labels=SUBSCRIBER,
        summary="A subscriber is too slow for the events of opsvisor.",
        description="events on shop-1:9001 missed 1 event(s) within 10m."
        "\nRun there: opsvisorctl events --replay 50",
    ),
    Case(
        alert=EVENTS,
        shows=Shows.NEAR_MISS,
        claim="those of long ago",
        series=(events_dropped(hold(70, LONG)),),
        fires={"1m": False, "20m": False},
        labels=SUBSCRIBER,
    ),
    Case(
        alert=EVENTS,
        shows=Shows.RESOLVES,
        claim="ten minutes later",
        series=(events_dropped(hold(0, "5m"), hold(1, LONG)),),
        fires={"14m30s": True, "15m15s": False},
        labels=SUBSCRIBER,
    ),
    Case(
        alert=EVENTS,
        shows=Shows.MISSED_SCRAPE,
        claim="it happens while a scrape fails",
        series=(events_dropped(hold(0, "5m"), STALE, hold(4, LONG)),),
        fires={"5m": False, "5m15s": True},
        labels=SUBSCRIBER,
    ),
    Case(
        alert=EVENTS,
        shows=Shows.LATE,
        claim="what happened before the first scrape is not counted",
        series=(events_dropped(hold(NOTHING, "5m"), hold(4, LONG)),),
        fires={"5m": False, "10m": False},
        labels=SUBSCRIBER,
    ),
    Case(
        alert=EVENTS,
        shows=Shows.RESET,
        claim="the daemon began anew, and one event since then",
        series=(events_dropped(hold(3, "5m"), hold(0, "5m"), hold(1, LONG)),),
        fires={"5m": False, "9m45s": False, "10m": True},
        labels=SUBSCRIBER,
    ),
)

ERRORS = "OpsvisorInternalErrors"
COMPONENT = {**OF_SUPERVISOR, "component": "logs"}


def errors(*values: str) -> dict[str, str]:
    """The counter of unexpected exceptions."""
    return of_supervisor("opsvisor_internal_errors_total", *values, component="logs")


ERRORS_CASES = (
    Case(
        alert=ERRORS,
        shows=Shows.FIRES,
        claim="one, at once",
        series=(errors(hold(0, "5m"), hold(1, LONG)),),
        fires={"4m45s": False, "5m": True},
        labels=COMPONENT,
        summary="opsvisor met a bug of its own.",
        description="opsvisor on shop-1:9001 caught 1 unexpected exception(s) in logs within 15m."
        "\nRun there: opsvisorctl maintail -20000",
    ),
    Case(
        alert=ERRORS,
        shows=Shows.NEAR_MISS,
        claim="those of long ago",
        series=(errors(hold(2, LONG)),),
        fires={"1m": False, "20m": False},
        labels=COMPONENT,
    ),
    Case(
        alert=ERRORS,
        shows=Shows.RESOLVES,
        claim="a quarter of an hour later",
        series=(errors(hold(0, "5m"), hold(1, LONG)),),
        fires={"19m30s": True, "20m15s": False},
        labels=COMPONENT,
    ),
    Case(
        alert=ERRORS,
        shows=Shows.MISSED_SCRAPE,
        claim="it happens while a scrape fails",
        series=(errors(hold(0, "5m"), STALE, hold(1, LONG)),),
        fires={"5m": False, "5m15s": True},
        labels=COMPONENT,
    ),
    Case(
        alert=ERRORS,
        shows=Shows.LATE,
        claim="what happened before the first scrape is not counted",
        series=(errors(hold(NOTHING, "5m"), hold(1, LONG)),),
        fires={"5m": False, "10m": False},
        labels=COMPONENT,
    ),
    Case(
        alert=ERRORS,
        shows=Shows.RESET,
        claim="the daemon began anew, and one more since then",
        series=(errors(hold(3, "5m"), hold(0, "5m"), hold(1, LONG)),),
        fires={"5m": False, "9m45s": False, "10m": True},
        labels=COMPONENT,
    ),
)

COLLECTOR = "OpsvisorCollectorFailing"
COLLECTED = {**OF_SUPERVISOR, "collector": "resources"}


def success(*values: str) -> dict[str, str]:
    """Whether the numbers could be collected."""
    return of_supervisor("opsvisor_collector_success", *values, collector="resources")


COLLECTOR_CASES = (
    Case(
        alert=COLLECTOR,
        shows=Shows.FIRES,
        claim="ten minutes after it last succeeded",
        series=(success(hold(1, "3m"), hold(0, LONG)),),
        fires={"12m45s": False, "13m": True},
        labels=COLLECTED,
        summary="Some numbers can't be collected, and the alerts on them are blind.",
        description="opsvisor on shop-1:9001 fails to collect resources: its series are missing or"
        " old.\nRun there: opsvisorctl maintail -20000",
    ),
    Case(
        alert=COLLECTOR,
        shows=Shows.NEAR_MISS,
        claim="succeeds every four minutes",
        series=(success(*(f"1 {hold(0, '3m45s')}" for _ in range(7))),),
        fires={"10m": False, "25m": False},
        labels=COLLECTED,
    ),
    Case(
        alert=COLLECTOR,
        shows=Shows.RESOLVES,
        claim="succeeds again",
        series=(success(hold(0, "12m"), hold(1, LONG)),),
        fires={"11m45s": True, "12m": False},
        labels=COLLECTED,
    ),
    Case(
        alert=COLLECTOR,
        shows=Shows.MISSED_SCRAPE,
        claim="one failed scrape on the way",
        series=(success(hold(0, "3m"), STALE, hold(0, LONG)),),
        fires={"4m45s": False, "5m": True},
        labels=COLLECTED,
    ),
    Case(
        alert=COLLECTOR,
        shows=Shows.LATE,
        claim="so from the first scrape on",
        series=(success(hold(NOTHING, "2m"), hold(0, LONG)),),
        fires={"6m45s": False, "7m": True},
        labels=COLLECTED,
    ),
)

CASES = (
    *STORM_CASES,
    *DOWN_CASES,
    *ABSENT_CASES,
    *CRASH_LOOPING_CASES,
    *STUCK_CASES,
    *RESTARTED_CASES,
    *RELOAD_FAILED_CASES,
    *EXPIRING_CASES,
    *LAGGING_CASES,
    *EVENTS_CASES,
    *ERRORS_CASES,
    *COLLECTOR_CASES,
)
