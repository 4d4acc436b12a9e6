"""What is wrong with options of several tables together, each of which is right alone."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from opsvisor.config.collisions import collisions
from opsvisor.config.decode import Decoded
from opsvisor.config.findings import Findings
from opsvisor.config.search import absolute
from opsvisor.config.settings import DaemonSettings
from opsvisor.config.units import Refused, did_you_mean
from opsvisor.core.plan import Plan, rivals_for_sockets
from opsvisor.core.spec import ProcessId, ProcessSpec

EVERY_PROCESS = "all"  # of supervisorctl, and so of opsvisorctl
NAMED_LIKE_ALL = Refused(
    "is called as commands call all processes together",
    f"rename it: `opsvisorctl stop {EVERY_PROCESS}` stops everything",
)
NOT_SPOKEN = Refused(
    "needs Supervisor's protocol, which isn't spoken",
    "set supervisor_interfaces = true in [server]",
)


def find_conflicts(
    decoded: Decoded, members: Mapping[str, list[ProcessSpec]], findings: Findings
) -> None:
    """Look for all of them. `members` are the processes of each group."""
    _check_names(decoded, members, findings)
    _check_ids(decoded, members, findings)
    _check_groups(decoded, members, findings)
    _check_log_paths(decoded, members, findings)
    _check_sockets(decoded, members, findings)
    _check_hearing(decoded, findings)


def find_collisions(
    decoded: Decoded,
    plan: Plan,
    settings: DaemonSettings,
    files: Iterable[str],
    findings: Findings,
) -> None:
    """Look for output that goes into a file of the daemon's. `files` are the configuration."""
    read = [str(absolute(Path(file))) for file in files]
    for found in collisions(plan.specs().values(), settings, read, start=Path("/")):
        program, typed = decoded.programs[found.spec.program], f"'{found.path}'"
        told = findings.problems if found.is_lost else findings.warnings
        told.append(program.problem(("log", found.stream), found.why, typed=typed))


def _check_names(
    decoded: Decoded, members: Mapping[str, list[ProcessSpec]], findings: Findings
) -> None:
    program, group = decoded.programs.get(EVERY_PROCESS), decoded.groups.get(EVERY_PROCESS)
    if program is not None:
        findings.warnings.append(program.problem((), NAMED_LIKE_ALL))
    if group is not None:
        findings.warnings.append(group.problem((), NAMED_LIKE_ALL))
    elif program is None and (specs := members.get(EVERY_PROCESS)):
        named_by = decoded.programs[specs[0].program]
        typed = f"'{EVERY_PROCESS}'"
        findings.warnings.append(named_by.problem(("group",), NAMED_LIKE_ALL, typed=typed))


def _check_ids(
    decoded: Decoded, members: Mapping[str, list[ProcessSpec]], findings: Findings
) -> None:
    """Two programs of a group may come to the same process name: `a_0`, and replicas of `a`."""
    owners: dict[ProcessId, str] = {}
    for spec in (spec for specs in members.values() for spec in specs):
        owner = owners.setdefault(spec.id, spec.program)
        if owner != spec.program:
            says = f"would have a process '{spec.id}', as program '{owner}' has"
            why = Refused(says, "rename one of the two programs")
            findings.problems.append(decoded.programs[spec.program].problem((), why))


def _check_groups(
    decoded: Decoded, members: Mapping[str, list[ProcessSpec]], findings: Findings
) -> None:
    for name, group in decoded.groups.items():
        if name not in members:
            hint = did_you_mean(name, members) or 'a program joins it by group = "…"'
            findings.warnings.append(group.problem((), Refused("has no programs", hint)))


def _check_log_paths(
    decoded: Decoded, members: Mapping[str, list[ProcessSpec]], findings: Findings
) -> None:
    """Two writers rotate a file away under each other; devices can be shared."""
    writers: dict[str, ProcessSpec] = {}
    for spec in (spec for specs in members.values() for spec in specs):
        for stream, log in (("stdout", spec.stdout), ("stderr", spec.stderr)):
            if log is None or log.path is None or log.path.startswith("/dev/"):
                continue
            first = writers.get(log.path)
            if first is None:
                writers[log.path] = spec
            else:
                program, why = decoded.programs[spec.program], _shared_file(first, spec)
                option = ("log", stream)
                findings.warnings.append(program.problem(option, why, typed=f"'{log.path}'"))


def _shared_file(first: ProcessSpec, second: ProcessSpec) -> Refused:
    if first is second:
        return Refused("is the file of stdout too", 'write stderr = "merge"')
    if first.program == second.program:
        return Refused("is one file for several replicas", "put {replica} into the path")
    return Refused(f"is a file of program '{first.program}' too", "give each its own file")


def _check_sockets(
    decoded: Decoded, members: Mapping[str, list[ProcessSpec]], findings: Findings
) -> None:
    """Two programs on one socket would each take what is meant for the other."""
    for spec, owner in rivals_for_sockets(spec for specs in members.values() for spec in specs):
        assert spec.socket is not None
        why = Refused(f"is the socket of program '{owner}' too", "give each its own")
        program = decoded.programs[spec.program]
        option, typed = ("socket", "listen"), f"'{spec.socket.url}'"
        findings.problems.append(program.problem(option, why, typed=typed))


def _check_hearing(decoded: Decoded, findings: Findings) -> None:
    """What is told to listeners must have somebody to tell it: a message is in no log."""
    if decoded.server.options.supervisor_interfaces:
        return
    for program in decoded.programs.values():
        log = program.options.log
        for stream, options in ((), log), (("stdout",), log.stdout), (("stderr",), log.stderr):
            for name in ("events", "message_limit"):
                problem = program.problem(("log", *stream, name), NOT_SPOKEN)
                # Of [defaults] it is one problem, however many programs it reaches.
                if getattr(options, name) and problem not in findings.problems:
                    findings.problems.append(problem)
