"""What the alerts about a process make of what happens to it. Times count from sample one."""

from timeline import (
    NOTHING,
    OF_PROCESS,
    STALE,
    Case,
    Shows,
    hold,
    of_process,
    once_in,
    rise,
)

GIB = 1 << 30
LONG = "30m"
WHY = "\nRun there: opsvisorctl why shop:web-0"
NUMBERS = "\nRun there: opsvisorctl metrics shop:web-0"


def state(name: str, *values: str) -> dict[str, str]:
    """The one-hot series of a state."""
    return of_process("opsvisor_process_state", *values, state=name)


def wanted(*values: str) -> dict[str, str]:
    """Whether it should be running; all the time if nothing is said."""
    return of_process("opsvisor_process_expected_running", *(values or (hold(1, LONG),)))


def failed_starts(*values: str) -> dict[str, str]:
    """Failed starts in a row; none if nothing is said."""
    return of_process("opsvisor_process_start_retries", *(values or (hold(0, LONG),)))


def restarts(*values: str, reason: str = "failure") -> dict[str, str]:
    """The counter of restarts."""
    return of_process("opsvisor_process_restarts_total", *values, reason=reason)


NOT_FATAL = state("fatal", hold(0, LONG))

FATAL = "OpsvisorProcessFatal"
FATAL_CASES = (
    Case(
        alert=FATAL,
        shows=Shows.FIRES,
        claim="FATAL for a minute",
        series=(state("fatal", hold(0, "2m"), hold(1, LONG)),),
        fires={"1m45s": False, "2m45s": False, "3m": True},
        summary="opsvisor has given a process up: it is FATAL.",
        description="shop:web-0 on shop-1:9001 is down and was given up after too many failures."
        + WHY,
    ),
    Case(
        alert=FATAL,
        shows=Shows.NEAR_MISS,
        claim="not given up yet",
        series=(state("backoff", hold(1, LONG)), NOT_FATAL),
        fires={"10m": False},
    ),
    Case(
        alert=FATAL,
        shows=Shows.RESOLVES,
        claim="started again by hand: 2 min in the window, 2 min kept",
        series=(state("fatal", hold(1, "5m"), hold(0, LONG)),),
        fires={"5m": True, "8m30s": True, "9m15s": False},
    ),
    Case(
        alert=FATAL,
        shows=Shows.RESOLVES,
        claim="attempts out of FATAL, 90 s of each quarter of an hour, are no end of it",
        series=(state("fatal", hold(1, "5m"), hold(0, "90s"), hold(1, "10m")),),
        fires={"6m30s": True, "10m": True},
    ),
    Case(
        alert=FATAL,
        shows=Shows.MISSED_SCRAPE,
        claim="one failed scrape on the way",
        series=(state("fatal", hold(1, "45s"), STALE, hold(1, LONG)),),
        fires={"45s": False, "1m": True},
    ),
    Case(
        alert=FATAL,
        shows=Shows.LATE,
        claim="added and FATAL before the first scrape",
        series=(state("fatal", hold(NOTHING, "2m"), hold(1, LONG)),),
        fires={"2m45s": False, "3m": True},
    ),
)

FLAPPING = "OpsvisorProcessFlapping"


def flapping(*values: str) -> dict[str, str]:
    """The daemon's judgement."""
    return of_process("opsvisor_process_flapping", *values)


FLAPPING_CASES = (
    Case(
        alert=FLAPPING,
        shows=Shows.FIRES,
        claim="as soon as the daemon says so",
        series=(flapping(hold(0, "2m"), hold(1, LONG)), failed_starts(), NOT_FATAL),
        fires={"1m45s": False, "2m": True},
        summary="A process comes up and goes down again and again.",
        description="shop:web-0 on shop-1:9001 restarts more often than its flapping_count allows."
        + WHY,
    ),
    Case(
        alert=FLAPPING,
        shows=Shows.FIRES,
        claim="two failed starts in a row are no crash loop",
        series=(flapping(hold(1, LONG)), failed_starts(hold(2, LONG)), NOT_FATAL),
        fires={"5m": True},
        summary="A process comes up and goes down again and again.",
        description="shop:web-0 on shop-1:9001 restarts more often than its flapping_count allows."
        + WHY,
    ),
    Case(
        alert=FLAPPING,
        shows=Shows.NEAR_MISS,
        claim="never comes up: a crash loop",
        series=(
            flapping(hold(1, LONG)),
            failed_starts(hold(3, "3m"), STALE, hold(3, LONG)),
            NOT_FATAL,
        ),
        fires={"2m": False, "3m": False, "10m": False},
    ),
    Case(
        alert=FLAPPING,
        shows=Shows.NEAR_MISS,
        claim="a crash loop from now on: told of by one alert, and not for a while by both",
        series=(
            flapping(hold(0, "2m"), hold(1, LONG)),
            failed_starts(hold(0, "2m"), hold(3, LONG)),
            NOT_FATAL,
        ),
        fires={"2m": False, "3m": False, "10m": False},
    ),
    Case(
        alert=FLAPPING,
        shows=Shows.NEAR_MISS,
        claim="given up: FATAL",
        series=(
            flapping(hold(1, LONG)),
            failed_starts(),
            state("fatal", hold(1, "3m"), STALE, hold(1, LONG)),
        ),
        fires={"2m": False, "3m": False, "10m": False},
    ),
    Case(
        alert=FLAPPING,
        shows=Shows.RESOLVES,
        claim="calm again: 5 min in the window, 5 min kept",
        series=(flapping(hold(1, "5m"), hold(0, LONG)), failed_starts(), NOT_FATAL),
        fires={"14m30s": True, "15m15s": False},
    ),
    Case(
        alert=FLAPPING,
        shows=Shows.MISSED_SCRAPE,
        claim="one failed scrape",
        series=(
            flapping(hold(1, "1m"), STALE, hold(1, LONG)),
            failed_starts(hold(0, "1m"), STALE, hold(0, LONG)),
            NOT_FATAL,
        ),
        fires={"45s": True, "1m": True, "1m15s": True},
    ),
    Case(
        alert=FLAPPING,
        shows=Shows.LATE,
        claim="added and flapping before the first scrape",
        series=(
            flapping(hold(NOTHING, "2m"), hold(1, LONG)),
            failed_starts(hold(NOTHING, "2m"), hold(0, LONG)),
        ),
        fires={"1m45s": False, "2m": True},
    ),
)

CRASH_LOOPING = "OpsvisorProcessCrashLooping"
CRASH_LOOPING_CASES = (
    Case(
        alert=CRASH_LOOPING,
        shows=Shows.FIRES,
        claim="three starts in a row did not come up",
        series=(failed_starts(hold(0, "2m"), hold(3, LONG)), NOT_FATAL),
        fires={"3m45s": False, "4m": True},
        summary="A process fails at every start.",
        description="shop:web-0 on shop-1:9001 has failed at its last 3 starts and is tried again."
        + WHY,
    ),
    Case(
        alert=CRASH_LOOPING,
        shows=Shows.NEAR_MISS,
        claim="two did not",
        series=(failed_starts(hold(2, LONG)), NOT_FATAL),
        fires={"10m": False},
    ),
    Case(
        alert=CRASH_LOOPING,
        shows=Shows.NEAR_MISS,
        claim="attempts out of FATAL",
        series=(
            failed_starts(hold(0, "5m"), rise(1, 1, "90s"), hold(0, "10m")),
            state("fatal", hold(1, "5m"), hold(0, "90s"), hold(1, "10m")),
        ),
        fires={"6m": False, "8m": False, "12m": False},
    ),
    Case(
        alert=CRASH_LOOPING,
        shows=Shows.RESOLVES,
        claim="came up: kept for 5 min",
        series=(failed_starts(hold(3, "5m"), hold(0, LONG)), NOT_FATAL),
        fires={"4m45s": True, "9m30s": True, "10m15s": False},
    ),
    Case(
        alert=CRASH_LOOPING,
        shows=Shows.MISSED_SCRAPE,
        claim="90 seconds without an answer",
        series=(
            failed_starts(hold(3, "15s"), hold(STALE, "90s"), hold(3, LONG)),
            NOT_FATAL,
        ),
        fires={"1m45s": False, "2m": True},
    ),
    Case(
        alert=CRASH_LOOPING,
        shows=Shows.LATE,
        claim="added and failing before the first scrape",
        series=(failed_starts(hold(NOTHING, "2m"), rise(4, 1, LONG)),),
        fires={"3m45s": False, "4m": True},
    ),
)

OFTEN = "OpsvisorProcessRestartingOften"
OFTEN_CASES = (
    Case(
        alert=OFTEN,
        shows=Shows.FIRES,
        claim="every 40 minutes: the seventh time in six hours",
        step="1m",
        series=(restarts(once_in("40m", 12, step="1m")),),
        fires={"294m": False, "295m": True},
        summary="A process restarts now and then, for hours.",
        description="shop:web-0 on shop-1:9001 restarted by itself at 7 different times within 6h."
        + WHY,
    ),
    Case(
        alert=OFTEN,
        shows=Shows.FIRES,
        claim="every 10 minutes: after an hour and a half",
        step="1m",
        series=(restarts(once_in("10m", 12, step="1m")),),
        fires={"84m": False, "86m": True},
        summary="A process restarts now and then, for hours.",
        description="shop:web-0 on shop-1:9001 restarted by itself at 8 different times within 6h."
        + WHY,
    ),
    Case(
        alert=OFTEN,
        shows=Shows.NEAR_MISS,
        claim="every hour is not more than six times in six hours",
        step="1m",
        series=(restarts(once_in("60m", 13, step="1m")),),
        fires={"400m": False, "800m": False},
    ),
    Case(
        alert=OFTEN,
        shows=Shows.NEAR_MISS,
        claim="one bad half hour",
        step="1m",
        series=(restarts(hold(0, "30m", "1m"), rise(0, 1, "34m", "1m"), hold(33, "6h", "1m")),),
        fires={"70m": False, "90m": False, "4h": False},
    ),
    Case(
        alert=OFTEN,
        shows=Shows.NEAR_MISS,
        claim="restarted by hand, and for a changed configuration",
        step="1m",
        series=(
            restarts(once_in("10m", 30, step="1m"), reason="manual"),
            restarts(once_in("10m", 30, step="1m"), reason="config"),
        ),
        fires={"90m": False, "280m": False},
    ),
    Case(
        alert=OFTEN,
        shows=Shows.RESOLVES,
        claim="quiet for an hour after three bad ones",
        step="1m",
        series=(restarts(once_in("20m", 9, step="1m"), hold(9, "3h", "1m")),),
        fires={"180m": True, "249m": True, "250m": False},
    ),
    Case(
        alert=OFTEN,
        shows=Shows.MISSED_SCRAPE,
        claim="a failed scrape before each restart",
        step="1m",
        series=(restarts(" ".join(f"{hold(n, '19m', '1m')} {STALE}" for n in range(12))),),
        fires={"150m": False, "160m": True},
    ),
    Case(
        alert=OFTEN,
        shows=Shows.LATE,
        claim="what happened before the first scrape is not counted",
        step="1m",
        series=(restarts(hold(NOTHING, "10m", "1m"), hold(50, "3h", "1m")),),
        fires={"60m": False, "120m": False},
    ),
    Case(
        alert=OFTEN,
        shows=Shows.RESET,
        claim="the daemon began anew: no restart of a process",
        step="1m",
        series=(restarts(*(f"{hold(50, '10m', '1m')} {hold(0, '10m', '1m')}" for _ in "12345")),),
        fires={"100m": False},
    ),
)

STUCK = "OpsvisorProcessBackoffStuck"


def next_retry(*values: str) -> dict[str, str]:
    """When the next attempt is due."""
    return of_process("opsvisor_process_next_retry_timestamp_seconds", *values)


def delay(*values: str) -> dict[str, str]:
    """How long it waits for the next attempt, 0 if none is due."""
    return of_process("opsvisor_process_backoff_delay_seconds", *values)


STUCK_CASES = (
    Case(
        alert=STUCK,
        shows=Shows.FIRES,
        claim="due at 60 s: late from 90 s on, for 2 min",
        series=(next_retry(hold(60, LONG)), delay(hold(30, LONG))),
        fires={"3m30s": False, "3m45s": True},
        summary="A restart is due and does not happen.",
        description="shop:web-0 on shop-1:9001 should have been started 2m 45s ago: the daemon is"
        " stuck, or the clocks differ.\nRun there: opsvisorctl maintail",
    ),
    Case(
        alert=STUCK,
        shows=Shows.FIRES,
        claim="the slow way out of FATAL as well",
        series=(
            next_retry(hold(60, LONG)),
            delay(hold(900, LONG)),
            state("fatal", hold(1, LONG)),
        ),
        fires={"3m30s": False, "3m45s": True},
        summary="A restart is due and does not happen.",
        description="shop:web-0 on shop-1:9001 should have been started 2m 45s ago: the daemon is"
        " stuck, or the clocks differ.\nRun there: opsvisorctl maintail",
    ),
    Case(
        alert=STUCK,
        shows=Shows.NEAR_MISS,
        claim="tried again every 30 s, as promised",
        series=(
            next_retry(" ".join(f"{at} {at}" for at in range(30, 900, 30))),
            delay(hold(30, LONG)),
        ),
        fires={"5m": False, "10m": False},
    ),
    Case(
        alert=STUCK,
        shows=Shows.NEAR_MISS,
        claim="it runs, whatever was promised",
        series=(next_retry(hold(60, LONG)), delay(hold(0, LONG))),
        fires={"5m": False, "10m": False},
    ),
    Case(
        alert=STUCK,
        shows=Shows.NEAR_MISS,
        claim="the clock of the host is 25 s behind",
        series=(next_retry(rise(-25, 15, LONG)), delay(hold(30, LONG))),
        fires={"5m": False, "10m": False},
    ),
    Case(
        alert=STUCK,
        shows=Shows.NEAR_MISS,
        claim="tried on time, and given up for good",
        series=(
            next_retry(hold(60, "1m15s"), hold(STALE, LONG)),
            delay(hold(30, "1m15s"), hold(0, LONG)),
            state("fatal", hold(0, "1m15s"), hold(1, LONG)),
        ),
        fires={"3m30s": False, "3m45s": False, "4m": False, "4m15s": False, "10m": False},
    ),
    Case(
        alert=STUCK,
        shows=Shows.NEAR_MISS,
        claim="tried a minute late, and given up for good",
        series=(
            next_retry(hold(60, "2m15s"), hold(STALE, LONG)),
            delay(hold(30, "2m15s"), hold(0, LONG)),
            state("fatal", hold(0, "2m15s"), hold(1, LONG)),
        ),
        fires={"3m30s": False, "3m45s": False, "4m": False, "5m": False},
    ),
    Case(
        alert=STUCK,
        shows=Shows.RESOLVES,
        claim="started after all",
        series=(
            next_retry(hold(60, "5m"), hold(STALE, "10m")),
            delay(hold(30, "5m"), hold(0, LONG)),
        ),
        fires={"4m45s": True, "5m": False, "10m": False},
    ),
    Case(
        alert=STUCK,
        shows=Shows.MISSED_SCRAPE,
        claim="one failed scrape on the way",
        series=(
            next_retry(hold(60, "3m"), STALE, hold(60, LONG)),
            delay(hold(30, "3m"), STALE, hold(30, LONG)),
        ),
        fires={"3m30s": False, "3m45s": True},
    ),
    Case(
        alert=STUCK,
        shows=Shows.LATE,
        claim="seen for the first time when it is late",
        series=(
            next_retry(hold(NOTHING, "5m"), hold(60, LONG)),
            delay(hold(NOTHING, "5m"), hold(30, LONG)),
        ),
        fires={"6m45s": False, "7m": True},
    ),
)

NOT_RUNNING = "OpsvisorProcessNotRunning"
NOT_RUNNING_CASES = (
    Case(
        alert=NOT_RUNNING,
        shows=Shows.FIRES,
        claim="five minutes after it was last seen running",
        series=(wanted(), state("running", hold(1, "3m"), hold(0, LONG)), NOT_FATAL),
        fires={"7m45s": False, "8m": True},
        summary="A process should be running and is not.",
        description="shop:web-0 on shop-1:9001 is wanted, but has not been RUNNING for minutes."
        + WHY,
    ),
    Case(
        alert=NOT_RUNNING,
        shows=Shows.FIRES,
        claim="STARTING for ever is not RUNNING",
        series=(
            wanted(),
            state("running", hold(0, LONG)),
            state("starting", hold(1, LONG)),
            NOT_FATAL,
        ),
        fires={"2m45s": False, "3m": True},
    ),
    Case(
        alert=NOT_RUNNING,
        shows=Shows.NEAR_MISS,
        claim="stopped on purpose",
        series=(
            wanted(hold(1, "3m"), hold(0, LONG)),
            state("running", hold(1, "3m"), hold(0, LONG)),
            NOT_FATAL,
        ),
        fires={"8m": False, "15m": False},
    ),
    Case(
        alert=NOT_RUNNING,
        shows=Shows.NEAR_MISS,
        claim="FATAL has its own alert, and attempts out of it do not change that",
        series=(
            wanted(),
            state("running", hold(0, LONG)),
            state("fatal", hold(1, "6m"), hold(0, "90s"), hold(1, LONG)),
        ),
        fires={"5m": False, "7m15s": False, "12m": False},
    ),
    Case(
        alert=NOT_RUNNING,
        shows=Shows.NEAR_MISS,
        claim="comes up for a moment every 90 s: others tell of that",
        series=(
            wanted(),
            state("running", *(f"1 {hold(0, '75s')}" for _ in range(15))),
            NOT_FATAL,
        ),
        fires={"5m": False, "10m": False, "15m": False},
    ),
    Case(
        alert=NOT_RUNNING,
        shows=Shows.RESOLVES,
        claim="runs again",
        series=(wanted(), state("running", hold(0, "10m"), hold(1, LONG)), NOT_FATAL),
        fires={"9m45s": True, "10m": False},
    ),
    Case(
        alert=NOT_RUNNING,
        shows=Shows.MISSED_SCRAPE,
        claim="one failed scrape on the way",
        series=(
            wanted(hold(1, "1m"), STALE, hold(1, LONG)),
            state("running", hold(0, "1m"), STALE, hold(0, LONG)),
            NOT_FATAL,
        ),
        fires={"2m45s": False, "3m": True},
    ),
    Case(
        alert=NOT_RUNNING,
        shows=Shows.LATE,
        claim="a new process gets three minutes to come up",
        series=(
            wanted(hold(NOTHING, "2m"), hold(1, LONG)),
            state("running", hold(NOTHING, "2m"), hold(0, LONG)),
        ),
        fires={"4m45s": False, "5m": True},
    ),
)

UNHEALTHY = "OpsvisorProcessUnhealthy"
CHECKED = {**OF_PROCESS, "check": "readiness"}


def check_up(*values: str) -> dict[str, str]:
    """Whether the check passes."""
    return of_process("opsvisor_health_check_up", *values, check="readiness")


def up(*values: str) -> dict[str, str]:
    """Whether a process exists; all the time if nothing is said."""
    return of_process("opsvisor_process_up", *(values or (hold(1, LONG),)))


UNHEALTHY_CASES = (
    Case(
        alert=UNHEALTHY,
        shows=Shows.FIRES,
        claim="seven minutes after the check last passed",
        series=(check_up(hold(1, "3m"), hold(0, LONG)), up()),
        fires={"9m45s": False, "10m": True},
        labels=CHECKED,
        summary="A health check keeps failing.",
        description="The check readiness of shop:web-0 on shop-1:9001 keeps failing." + WHY,
    ),
    Case(
        alert=UNHEALTHY,
        shows=Shows.NEAR_MISS,
        claim="passes every 90 s",
        series=(check_up(*(f"1 {hold(0, '75s')}" for _ in range(15))), up()),
        fires={"10m": False, "15m": False},
        labels=CHECKED,
    ),
    Case(
        alert=UNHEALTHY,
        shows=Shows.NEAR_MISS,
        claim="there is no process to be healthy",
        series=(check_up(hold(0, LONG)), up(hold(0, LONG))),
        fires={"10m": False},
        labels=CHECKED,
    ),
    Case(
        alert=UNHEALTHY,
        shows=Shows.RESOLVES,
        claim="stopped: nothing is asked any more",
        series=(check_up(hold(0, "8m"), STALE), up(hold(1, "8m"), hold(0, LONG))),
        fires={"7m45s": True, "8m": False},
        labels=CHECKED,
    ),
    Case(
        alert=UNHEALTHY,
        shows=Shows.RESOLVES,
        claim="passes again",
        series=(check_up(hold(0, "8m"), hold(1, LONG)), up()),
        fires={"7m45s": True, "8m": False},
        labels=CHECKED,
    ),
    Case(
        alert=UNHEALTHY,
        shows=Shows.MISSED_SCRAPE,
        claim="one failed scrape on the way",
        series=(
            check_up(hold(0, "2m"), STALE, hold(0, LONG)),
            up(hold(1, "2m"), STALE, hold(1, LONG)),
        ),
        fires={"4m45s": False, "5m": True},
        labels=CHECKED,
    ),
    Case(
        alert=UNHEALTHY,
        shows=Shows.LATE,
        claim="failing from its first check on",
        series=(
            check_up(hold(NOTHING, "2m"), hold(0, LONG)),
            up(hold(NOTHING, "2m"), hold(1, LONG)),
        ),
        fires={"6m45s": False, "7m": True},
        labels=CHECKED,
    ),
)

UNKILLABLE = "OpsvisorProcessUnkillable"


def unkillable(*values: str) -> dict[str, str]:
    """Whether it outlives SIGKILL."""
    return of_process("opsvisor_process_unkillable", *values)


UNKILLABLE_CASES = (
    Case(
        alert=UNKILLABLE,
        shows=Shows.FIRES,
        claim="outlives SIGKILL for five minutes",
        series=(unkillable(hold(0, "2m"), hold(1, LONG)),),
        fires={"6m45s": False, "7m": True},
        summary="A process that should end survives SIGKILL.",
        description="shop:web-0 on shop-1:9001 is stuck in the kernel and can't be ended." + WHY,
    ),
    Case(
        alert=UNKILLABLE,
        shows=Shows.NEAR_MISS,
        claim="ended after four and a half minutes",
        series=(unkillable(hold(1, "4m30s"), hold(0, LONG)),),
        fires={"4m15s": False, "5m": False, "10m": False},
    ),
    Case(
        alert=UNKILLABLE,
        shows=Shows.RESOLVES,
        claim="ended",
        series=(unkillable(hold(1, "8m"), hold(0, LONG)),),
        fires={"7m45s": True, "8m": False},
    ),
    Case(
        alert=UNKILLABLE,
        shows=Shows.RESOLVES,
        claim="taken out of the configuration: gone when two minutes have passed",
        series=(unkillable(hold(1, "8m"), STALE),),
        fires={"9m30s": True, "10m": False},
    ),
    Case(
        alert=UNKILLABLE,
        shows=Shows.MISSED_SCRAPE,
        claim="90 seconds without an answer",
        series=(unkillable(hold(1, "2m"), hold(STALE, "90s"), hold(1, LONG)),),
        fires={"4m45s": False, "5m": True},
    ),
    Case(
        alert=UNKILLABLE,
        shows=Shows.LATE,
        claim="so from the first scrape on",
        series=(unkillable(hold(NOTHING, "2m"), hold(1, LONG)),),
        fires={"6m45s": False, "7m": True},
    ),
)

OOM = "OpsvisorProcessOOMKilled"


def oom_kills(*values: str) -> dict[str, str]:
    """The counter of OOM kills."""
    return of_process("opsvisor_process_oom_kills_total", *values)


OOM_CASES = (
    Case(
        alert=OOM,
        shows=Shows.FIRES,
        claim="one kill, at once",
        series=(oom_kills(hold(0, "5m"), hold(1, LONG)),),
        fires={"4m45s": False, "5m": True},
        summary="The kernel killed a process for want of memory.",
        description="shop:web-0 on shop-1:9001 lost 1 process(es) to the OOM killer within 15m."
        + WHY,
    ),
    Case(
        alert=OOM,
        shows=Shows.NEAR_MISS,
        claim="the kills of long ago",
        series=(oom_kills(hold(7, LONG)),),
        fires={"1m": False, "20m": False},
    ),
    Case(
        alert=OOM,
        shows=Shows.RESOLVES,
        claim="a quarter of an hour later",
        series=(oom_kills(hold(0, "5m"), hold(1, LONG)),),
        fires={"19m30s": True, "20m15s": False},
    ),
    Case(
        alert=OOM,
        shows=Shows.MISSED_SCRAPE,
        claim="the kill happens while a scrape fails",
        series=(oom_kills(hold(0, "5m"), STALE, hold(1, LONG)),),
        fires={"5m": False, "5m15s": True, "10m": True},
    ),
    Case(
        alert=OOM,
        shows=Shows.LATE,
        claim="what happened before the first scrape is not counted",
        series=(oom_kills(hold(NOTHING, "5m"), hold(2, LONG)),),
        fires={"5m": False, "10m": False},
    ),
    Case(
        alert=OOM,
        shows=Shows.RESET,
        claim="the daemon began anew, and one kill since then",
        series=(oom_kills(hold(3, "5m"), hold(0, "5m"), hold(1, LONG)),),
        fires={"5m": False, "9m45s": False, "10m": True},
    ),
)

NEAR_LIMIT = "OpsvisorProcessMemoryNearLimit"


def memory(*values: str) -> dict[str, str]:
    """Resident memory."""
    return of_process("opsvisor_process_resident_memory_bytes", *values)


def proportional(*values: str) -> dict[str, str]:
    """Memory with each shared page counted once, where that is collected."""
    return of_process("opsvisor_process_proportional_memory_bytes", *values)


def memory_limit(*values: str, length: str = LONG) -> dict[str, str]:
    """The limit: 1 GiB if nothing is said."""
    return of_process("opsvisor_process_memory_limit_bytes", *(values or (hold(GIB, length),)))


def share(ratio: float) -> int:
    """Bytes of 1 GiB."""
    return round(ratio * GIB)


NEAR_LIMIT_CASES = (
    Case(
        alert=NEAR_LIMIT,
        shows=Shows.FIRES,
        claim="96 % for five minutes",
        series=(memory(hold(share(0.3), "2m"), hold(share(0.96), LONG)), memory_limit()),
        fires={"6m45s": False, "7m": True},
        summary="A process tree is close to its memory limit.",
        description="shop:web-0 on shop-1:9001 uses 96% of its memory limit; beyond it the kernel"
        " kills." + NUMBERS,
    ),
    Case(
        alert=NEAR_LIMIT,
        shows=Shows.NEAR_MISS,
        claim="94 %",
        series=(memory(hold(share(0.94), LONG)), memory_limit()),
        fires={"10m": False},
    ),
    Case(
        alert=NEAR_LIMIT,
        shows=Shows.NEAR_MISS,
        claim="workers that share most of their memory, counted once where it is known",
        series=(
            memory(hold(share(3), LONG)),
            proportional(hold(share(0.4), LONG)),
            memory_limit(),
        ),
        fires={"10m": False},
    ),
    Case(
        alert=NEAR_LIMIT,
        shows=Shows.NEAR_MISS,
        claim="no limit, no alert",
        series=(memory(hold(share(40), LONG)),),
        fires={"10m": False},
    ),
    Case(
        alert=NEAR_LIMIT,
        shows=Shows.RESOLVES,
        claim="less again",
        series=(memory(hold(share(0.99), "7m"), hold(share(0.3), LONG)), memory_limit()),
        fires={"6m45s": True, "7m": False},
    ),
    Case(
        alert=NEAR_LIMIT,
        shows=Shows.MISSED_SCRAPE,
        claim="one failed scrape on the way",
        series=(
            memory(hold(share(0.99), "2m"), STALE, hold(share(0.99), LONG)),
            memory_limit(hold(GIB, "2m"), STALE, hold(GIB, LONG)),
        ),
        fires={"4m45s": False, "5m": True},
    ),
    Case(
        alert=NEAR_LIMIT,
        shows=Shows.LATE,
        claim="a new process that is full at once",
        series=(
            memory(hold(NOTHING, "2m"), hold(share(0.99), LONG)),
            memory_limit(hold(NOTHING, "2m"), hold(GIB, LONG)),
        ),
        fires={"6m45s": False, "7m": True},
    ),
)

FILLING = "OpsvisorProcessMemoryFillingUp"


def leak(start: float, per_minute: float, length: str = "4h") -> str:
    """Memory that grows by so much of 1 GiB each minute."""
    return rise(share(start), share(per_minute), length, "1m")


def started(at: int, length: str = "4h") -> dict[str, str]:
    """When the run began."""
    return of_process("opsvisor_process_start_time_seconds", hold(at, length, "1m"))


def limit_for_hours(length: str = "4h") -> dict[str, str]:
    """1 GiB, a sample a minute."""
    return memory_limit(hold(GIB, length, "1m"))


FILLING_CASES = (
    Case(
        alert=FILLING,
        shows=Shows.FIRES,
        claim="a run of more than an hour that will need too much in four",
        step="1m",
        series=(memory(leak(0.61, 0.0025)), limit_for_hours(), started(0)),
        fires={"90m": False, "91m": True},
        summary="A process tree will soon need more memory than its limit.",
        description="shop:web-0 on shop-1:9001 grows: within 4h it will need 143.8% of its"
        " memory limit." + NUMBERS,
    ),
    Case(
        alert=FILLING,
        shows=Shows.FIRES,
        claim="from 60 % of the limit on",
        step="1m",
        series=(memory(leak(0.4995, 0.002)), limit_for_hours(), started(-90000)),
        fires={"80m": False, "81m": True},
        summary="A process tree will soon need more memory than its limit.",
        description="shop:web-0 on shop-1:9001 grows: within 4h it will need 114.2% of its"
        " memory limit." + NUMBERS,
    ),
    Case(
        alert=FILLING,
        shows=Shows.FIRES,
        claim="a leak that begins after three hours of rest",
        step="1m",
        series=(
            memory(hold(share(0.62), "3h", "1m"), leak(0.62, 0.0025)),
            limit_for_hours("7h"),
            started(-90000, "7h"),
        ),
        fires={"240m": False, "243m": True},
    ),
    Case(
        alert=FILLING,
        shows=Shows.NEAR_MISS,
        claim="will last for more than four hours",
        step="1m",
        series=(memory(leak(0.7, 0.0006)), limit_for_hours(), started(-90000)),
        fires={"60m": False, "150m": False},
    ),
    Case(
        alert=FILLING,
        shows=Shows.NEAR_MISS,
        claim="more workers, which share their memory",
        step="1m",
        series=(
            memory(leak(0.7, 0.01)),
            proportional(hold(share(0.7), "4h", "1m")),
            limit_for_hours(),
            started(-90000),
        ),
        fires={"60m": False, "150m": False},
    ),
    Case(
        alert=FILLING,
        shows=Shows.NEAR_MISS,
        claim="a young run that fills its caches",
        step="1m",
        series=(
            memory(leak(0.61, 0.0025, "50m"), hold(share(0.74), "3h", "1m")),
            limit_for_hours(),
            started(0),
        ),
        fires={"45m": False, "70m": False, "150m": False},
    ),
    Case(
        alert=FILLING,
        shows=Shows.RESOLVES,
        claim="restarted",
        step="1m",
        series=(
            memory(leak(0.61, 0.0025, "2h"), hold(share(0.2), "2h", "1m")),
            limit_for_hours(),
            started(0),
        ),
        fires={"119m": True, "120m": False},
    ),
    Case(
        alert=FILLING,
        shows=Shows.MISSED_SCRAPE,
        claim="a failed scrape on the way",
        step="1m",
        series=(
            memory(leak(0.61, 0.0025, "70m"), STALE, leak(0.79, 0.0025)),
            memory_limit(hold(GIB, "70m", "1m"), STALE, hold(GIB, "4h", "1m")),
            of_process(
                "opsvisor_process_start_time_seconds",
                hold(0, "70m", "1m"),
                STALE,
                hold(0, "4h", "1m"),
            ),
        ),
        fires={"90m": False, "91m": True},
    ),
    Case(
        alert=FILLING,
        shows=Shows.LATE,
        claim="two samples make no forecast for a new process",
        step="1m",
        series=(
            memory(hold(NOTHING, "30m", "1m"), leak(0.7, 0.01, "20m")),
            memory_limit(hold(NOTHING, "30m", "1m"), hold(GIB, "20m", "1m")),
            of_process(
                "opsvisor_process_start_time_seconds",
                hold(NOTHING, "30m", "1m"),
                hold(1800, "20m", "1m"),
            ),
        ),
        fires={"40m": False, "49m": False},
    ),
)

FILES = "OpsvisorProcessFileDescriptorsExhausting"


def fd_ratio(*values: str) -> dict[str, str]:
    """Open files to the limit."""
    return of_process("opsvisor_process_fd_usage_ratio", *values)


FILES_CASES = (
    Case(
        alert=FILES,
        shows=Shows.FIRES,
        claim="86 % for five minutes",
        series=(fd_ratio(hold(0.3, "2m"), hold(0.86, LONG)),),
        fires={"6m45s": False, "7m": True},
        summary="A process is running out of file descriptors.",
        description="A member of shop:web-0 on shop-1:9001 uses 86% of the files it may open"
        " (rlimit nofile)." + NUMBERS,
    ),
    Case(
        alert=FILES,
        shows=Shows.NEAR_MISS,
        claim="84 %",
        series=(fd_ratio(hold(0.84, LONG)),),
        fires={"10m": False},
    ),
    Case(
        alert=FILES,
        shows=Shows.RESOLVES,
        claim="closed again",
        series=(fd_ratio(hold(0.99, "7m"), hold(0.3, LONG)),),
        fires={"6m45s": True, "7m": False},
    ),
    Case(
        alert=FILES,
        shows=Shows.MISSED_SCRAPE,
        claim="one failed scrape on the way",
        series=(fd_ratio(hold(0.9, "2m"), STALE, hold(0.9, LONG)),),
        fires={"4m45s": False, "5m": True},
    ),
    Case(
        alert=FILES,
        shows=Shows.LATE,
        claim="a new process that is full at once",
        series=(fd_ratio(hold(NOTHING, "2m"), hold(0.9, LONG)),),
        fires={"6m45s": False, "7m": True},
    ),
)

THROTTLING = "OpsvisorProcessCPUThrottling"


def throttled(*values: str) -> dict[str, str]:
    """Periods in which it was throttled."""
    return of_process("opsvisor_process_cpu_throttled_periods_total", *values)


def periods(*values: str) -> dict[str, str]:
    """All periods: 100 a sample if nothing is said."""
    return of_process("opsvisor_process_cpu_periods_total", *(values or (rise(0, 100, LONG),)))


THROTTLING_CASES = (
    Case(
        alert=THROTTLING,
        shows=Shows.FIRES,
        claim="26 % of the periods for a quarter of an hour",
        series=(throttled(rise(0, 26, LONG)), periods()),
        fires={"15m": False, "15m15s": True},
        summary="A process tree is slowed down by its CPU quota.",
        description="shop:web-0 on shop-1:9001 was throttled in 26% of the periods of its CPU"
        " quota." + NUMBERS,
    ),
    Case(
        alert=THROTTLING,
        shows=Shows.FIRES,
        claim="the share of the last five minutes counts",
        series=(throttled(hold(0, "10m"), rise(100, 100, LONG)), periods(rise(0, 100, "40m"))),
        fires={"26m": False, "27m": True},
        summary="A process tree is slowed down by its CPU quota.",
        description="shop:web-0 on shop-1:9001 was throttled in 100% of the periods of its CPU"
        " quota." + NUMBERS,
    ),
    Case(
        alert=THROTTLING,
        shows=Shows.NEAR_MISS,
        claim="24 %",
        series=(throttled(rise(0, 24, LONG)), periods()),
        fires={"25m": False},
    ),
    Case(
        alert=THROTTLING,
        shows=Shows.NEAR_MISS,
        claim="a quota, but no work: 0 of 0",
        series=(throttled(hold(0, LONG)), periods(hold(0, LONG))),
        fires={"25m": False},
    ),
    Case(
        alert=THROTTLING,
        shows=Shows.RESOLVES,
        claim="no longer throttled",
        series=(
            throttled(rise(0, 40, "20m"), hold(3160, LONG)),
            periods(rise(0, 100, "50m")),
        ),
        fires={"20m": True, "21m30s": True, "21m45s": False},
    ),
    Case(
        alert=THROTTLING,
        shows=Shows.MISSED_SCRAPE,
        claim="one failed scrape on the way",
        series=(
            throttled(rise(0, 30, "5m"), STALE, rise(630, 30, LONG)),
            periods(rise(0, 100, "5m"), STALE, rise(2100, 100, LONG)),
        ),
        fires={"15m": False, "15m15s": True},
    ),
    Case(
        alert=THROTTLING,
        shows=Shows.LATE,
        claim="a new process",
        series=(
            throttled(hold(NOTHING, "5m"), rise(80, 40, LONG)),
            periods(hold(NOTHING, "5m"), rise(100, 100, LONG)),
        ),
        fires={"20m": False, "20m15s": True},
    ),
    Case(
        alert=THROTTLING,
        shows=Shows.RESET,
        claim="the daemon began anew",
        series=(
            throttled(rise(5000, 2, "5m"), rise(0, 2, LONG)),
            periods(rise(90000, 100, "5m"), rise(0, 100, LONG)),
        ),
        fires={"5m": False, "25m": False},
    ),
)

WRITE_ERRORS = "OpsvisorProcessLogWriteErrors"


def write_errors(*values: str) -> dict[str, str]:
    """The counter of failed writes."""
    return of_process("opsvisor_log_write_errors_total", *values)


WRITE_ERROR_CASES = (
    Case(
        alert=WRITE_ERRORS,
        shows=Shows.FIRES,
        claim="one failed write, at once",
        series=(write_errors(hold(0, "5m"), hold(1, LONG)),),
        fires={"4m45s": False, "5m": True},
        summary="A log of a process can't be written or rotated.",
        description="Writing or rotating the logs of shop:web-0 on shop-1:9001 failed 1 time(s)"
        " within 15m: output may be lost." + WHY,
    ),
    Case(
        alert=WRITE_ERRORS,
        shows=Shows.NEAR_MISS,
        claim="the errors of long ago",
        series=(write_errors(hold(7, LONG)),),
        fires={"1m": False, "20m": False},
    ),
    Case(
        alert=WRITE_ERRORS,
        shows=Shows.RESOLVES,
        claim="a quarter of an hour later",
        series=(write_errors(hold(0, "5m"), hold(1, LONG)),),
        fires={"19m30s": True, "20m15s": False},
    ),
    Case(
        alert=WRITE_ERRORS,
        shows=Shows.MISSED_SCRAPE,
        claim="the write fails while a scrape does",
        series=(write_errors(hold(0, "5m"), STALE, hold(1, LONG)),),
        fires={"5m": False, "5m15s": True, "10m": True},
    ),
    Case(
        alert=WRITE_ERRORS,
        shows=Shows.LATE,
        claim="what happened before the first scrape is not counted",
        series=(write_errors(hold(NOTHING, "5m"), hold(2, LONG)),),
        fires={"5m": False, "10m": False},
    ),
    Case(
        alert=WRITE_ERRORS,
        shows=Shows.RESET,
        claim="the daemon began anew, and one failed write since then",
        series=(write_errors(hold(3, "5m"), hold(0, "5m"), hold(1, LONG)),),
        fires={"5m": False, "9m45s": False, "10m": True},
    ),
)

DROPPING = "OpsvisorProcessLogDropping"


def dropped(*values: str, stream: str = "stdout") -> dict[str, str]:
    """The counter of lines that were not written."""
    return of_process("opsvisor_log_dropped_lines_total", *values, stream=stream)


DROPPING_CASES = (
    Case(
        alert=DROPPING,
        shows=Shows.FIRES,
        claim="lines of both streams, for five minutes",
        series=(
            dropped(hold(0, "2m"), rise(10, 10, LONG)),
            dropped(hold(0, "2m"), rise(5, 5, LONG), stream="stderr"),
        ),
        fires={"6m45s": False, "7m": True},
        summary="Output of a process is being dropped.",
        description="shop:web-0 on shop-1:9001 lost 300 line(s) of output within 5m." + WHY,
    ),
    Case(
        alert=DROPPING,
        shows=Shows.FIRES,
        claim="a few lines every four minutes",
        series=(dropped(once_in("4m", 10)), dropped(hold(0, LONG), stream="stderr")),
        fires={"8m45s": False, "9m15s": True, "20m": True},
    ),
    Case(
        alert=DROPPING,
        shows=Shows.NEAR_MISS,
        claim="once",
        series=(dropped(hold(0, "2m"), hold(500, LONG)),),
        fires={"3m": False, "6m45s": False, "7m": False, "10m": False},
    ),
    Case(
        alert=DROPPING,
        shows=Shows.RESOLVES,
        claim="five minutes after the last",
        series=(dropped(rise(0, 1, "10m"), hold(39, LONG)),),
        fires={"14m30s": True, "15m15s": False},
    ),
    Case(
        alert=DROPPING,
        shows=Shows.MISSED_SCRAPE,
        claim="one failed scrape on the way",
        series=(dropped(rise(0, 1, "3m"), STALE, rise(13, 1, LONG)),),
        fires={"5m": False, "5m15s": True},
    ),
    Case(
        alert=DROPPING,
        shows=Shows.LATE,
        claim="a new process that drops from the beginning",
        series=(dropped(hold(NOTHING, "2m"), rise(100, 1, LONG)),),
        fires={"7m": False, "7m15s": True},
    ),
    Case(
        alert=DROPPING,
        shows=Shows.RESET,
        claim="the daemon began anew",
        series=(dropped(hold(90, "5m"), hold(0, LONG)),),
        fires={"6m": False, "12m": False},
    ),
)

CASES = (
    *FATAL_CASES,
    *FLAPPING_CASES,
    *CRASH_LOOPING_CASES,
    *OFTEN_CASES,
    *STUCK_CASES,
    *NOT_RUNNING_CASES,
    *UNHEALTHY_CASES,
    *UNKILLABLE_CASES,
    *OOM_CASES,
    *NEAR_LIMIT_CASES,
    *FILLING_CASES,
    *FILES_CASES,
    *THROTTLING_CASES,
    *WRITE_ERROR_CASES,
    *DROPPING_CASES,
)
