"""The restart policy that a program's options ask for."""

from opsvisor.config.decode import Declared
from opsvisor.config.findings import Findings
from opsvisor.config.problems import Problem
from opsvisor.config.schema import EarlyExit, ProgramOptions
from opsvisor.config.units import Refused, format_duration
from opsvisor.core.spec import (
    ExponentialBackoff,
    FlappingPolicy,
    LinearBackoff,
    RestartLimit,
    RestartMode,
    RestartPolicy,
)

# What a warning about the restart limit is about; the first that was written shows where.
_RESTART_LIMIT = (
    "restart_limit_interval",
    "restart_limit_count",
    "backoff_delay",
    "backoff_factor",
    "backoff_limit",
)


def restart_policy(program: Declared[ProgramOptions], findings: Findings) -> RestartPolicy:
    """When a program is started again. What makes no sense together goes to `findings`."""
    options = program.options
    backoff = ExponentialBackoff(
        delay=options.backoff_delay,
        factor=options.backoff_factor,
        limit=options.backoff_limit,
        jitter=options.backoff_jitter,
    )
    step = options.start_backoff_step
    limit = RestartLimit(
        count=options.restart_limit_count, interval=options.restart_limit_interval
    )
    policy = RestartPolicy(
        mode=options.restart,
        success=options.success_exit_codes,
        prevent=options.restart_prevent_exit_codes,
        early_exit_fails=options.early_exit is EarlyExit.FAILURE,
        failed_starts_max=options.start_retries,
        start_backoff=backoff if step is None else LinearBackoff(step=step),
        run_backoff=backoff,
        backoff_reset=options.backoff_reset,
        limit=limit if options.restart_limit_count else None,
        fatal_retry_delay=options.fatal_retry_delay,
        flapping=FlappingPolicy(count=options.flapping_count, interval=options.flapping_interval),
    )
    if program.is_sound("backoff_delay", "backoff_limit") and backoff.limit < backoff.delay:
        findings.problems.append(_backoff_order(program, backoff))
    elif program.is_sound("restart", *_RESTART_LIMIT):
        findings.warnings.extend(_unreachable_limit(program, policy, backoff))
    return policy


def _backoff_order(program: Declared[ProgramOptions], backoff: ExponentialBackoff) -> Problem:
    says = f"is shorter than backoff_delay = '{format_duration(backoff.delay)}'"
    written = [name for name in ("backoff_limit", "backoff_delay") if program.origins.get((name,))]
    limit = f"'{format_duration(backoff.limit)}'"
    hint = "the limit bounds every delay, so the first delay has to fit under it"
    if written[:1] == ["backoff_limit"]:
        return program.problem(("backoff_limit",), Refused(says, hint), typed=limit)
    says = f"is longer than backoff_limit = {limit}"
    typed = f"'{format_duration(backoff.delay)}'"
    return program.problem(("backoff_delay",), Refused(says, hint), typed=typed)


def _unreachable_limit(
    program: Declared[ProgramOptions], policy: RestartPolicy, backoff: ExponentialBackoff
) -> list[Problem]:
    """A warning if the delays are so long that the restart limit can never strike."""
    limit = policy.limit
    if limit is None or policy.mode is RestartMode.NO:
        return []
    delay, total = backoff.delay, 0.0
    for _ in range(limit.count + 1):
        total += delay
        delay = min(delay * backoff.factor, backoff.limit)
    if total < limit.interval:
        return []
    written = [name for name in _RESTART_LIMIT if (name,) in program.origins]
    own = [name for name in written if program.origin(name).section == program.section]
    interval = format_duration(limit.interval)
    why = Refused(
        f": the restart limit can't be reached, since {limit.count + 1} delays take "
        f"{format_duration(round(total, 3))} and restart_limit_interval is {interval}",
        "lengthen restart_limit_interval, or lower restart_limit_count or the delays",
    )
    return [program.problem(((own or written)[0],), why)]
