"""Options become a Plan: replicas are numbered, templates filled, users and files looked up."""

import shlex
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from opsvisor.config import accounts, envfile, listening
from opsvisor.config.auto_log import auto_path
from opsvisor.config.decode import Declared, Decoded
from opsvisor.config.findings import Findings
from opsvisor.config.kinds import check_name
from opsvisor.config.problems import Problem
from opsvisor.config.schema import EarlyExit, KillTargets, ProgramOptions, StreamOptions
from opsvisor.config.template import Names, fill, fill_variables
from opsvisor.config.units import Refused, did_you_mean, format_duration
from opsvisor.core.plan import EventFeed, Group, Plan
from opsvisor.core.spec import (
    ExponentialBackoff,
    FlappingPolicy,
    KillMode,
    LinearBackoff,
    LogSpec,
    ProcessId,
    ProcessSpec,
    RestartLimit,
    RestartMode,
    RestartPolicy,
    SocketSpec,
    StdinMode,
    StopPolicy,
    TcpSocketSpec,
    UserSpec,
)

Program = Declared[ProgramOptions]
# Names all kinds of events that can be listened to. Asked only where somebody listens.
EventKinds = Callable[[], Collection[str]]

_SHARED_GROUP_PRIORITY = 999  # Supervisor's, for groups whose members don't decide it
_MERGE = "merge"
_AUTO = "auto"
_DEFAULT_NAME = "{program}_{replica}"
_WHOM = {  # the stop signal, SIGKILL
    KillTargets.PROCESS: (KillMode.PROCESS, KillMode.PROCESS),
    KillTargets.GROUP: (KillMode.GROUP, KillMode.GROUP),
    KillTargets.MIXED: (KillMode.PROCESS, KillMode.GROUP),
}
_NOT_SPOKEN = Refused(
    "needs Supervisor's protocol, which isn't spoken",
    "set supervisor_interfaces = true in [server]",
)
# What a warning about the restart limit is about; the first that was written shows where.
_RESTART_LIMIT = (
    "restart_limit_interval",
    "restart_limit_count",
    "backoff_delay",
    "backoff_factor",
    "backoff_limit",
)


def resolve(
    decoded: Decoded,
    environ: Mapping[str, str],
    findings: Findings,
    *,
    event_kinds: EventKinds | None = None,
) -> Plan:
    """The plan that the decoded options ask for. What is wrong with them goes to `findings`.

    `environ` is the daemon's own environment, for values that name its variables.
    """
    resolver = _Resolver(_auto_logs(decoded, environ), environ, findings)
    members: dict[str, list[ProcessSpec]] = {}
    names: dict[str, list[str]] = {}
    for name, program in decoded.programs.items():
        for group in program.options.group or (name,):
            members.setdefault(group, []).extend(resolver.specs(name, group, program))
            names.setdefault(group, []).append(name)
    groups = []
    for group, specs in members.items():
        own = decoded.groups.get(group)
        priority = own.options.priority if own else None
        if priority is None:
            alone = decoded.programs[names[group][0]] if len(names[group]) == 1 else None
            priority = alone.options.priority if alone else _SHARED_GROUP_PRIORITY
        feed = _feed(decoded, group, names[group], findings)
        if feed is not None and event_kinds is not None:
            _check_kinds(decoded.programs[names[group][0]], feed, event_kinds(), findings)
        groups.append(Group(name=group, priority=priority, processes=tuple(specs), feed=feed))
    _check_ids(decoded, members, findings)
    _check_groups(decoded, members, findings)
    _check_log_paths(decoded, members, findings)
    _check_sockets(decoded, members, findings)
    _check_hearing(decoded, findings)
    return Plan.of(groups)


def _feed(
    decoded: Decoded, group: str, members: list[str], findings: Findings
) -> EventFeed | None:
    """What the processes of a group are told, if its one program is an event listener."""
    listeners = [name for name in members if decoded.programs[name].options.events]
    if not listeners:
        return None
    program = decoded.programs[listeners[0]]
    if len(members) > 1:
        says = f"makes it an event listener, which can't share the group '{group}'"
        why = Refused(says, "leave out its group: its replicas are one pool")
        findings.problems.append(program.problem(("events",), why))
    if not decoded.server.options.supervisor_interfaces:
        findings.problems.append(program.problem(("events",), _NOT_SPOKEN))
    return EventFeed(kinds=program.options.events, buffer_size=program.options.events_buffer)


def _check_kinds(
    program: Program, feed: EventFeed, known: Collection[str], findings: Findings
) -> None:
    for kind in feed.kinds:
        if kind not in known:
            hint = did_you_mean(kind, known) or f"there are {', '.join(sorted(known))}"
            why = Refused(f"holds '{kind}', and there are no such events", hint)
            findings.problems.append(program.problem(("events",), why))


@dataclass(frozen=True, slots=True, kw_only=True)
class _AutoLogs:
    """What the paths of logs called "auto" follow from, besides the process."""

    folder: str
    identifier: str
    config_path: str

    def path(self, process_id: ProcessId, stream: str) -> str:
        return auto_path(
            process_id,
            stream,
            folder=self.folder,
            identifier=self.identifier,
            config_path=self.config_path,
        )


def _auto_logs(decoded: Decoded, environ: Mapping[str, str]) -> _AutoLogs:
    daemon = decoded.daemon
    folder, identifier = daemon.options.child_log_dir, daemon.options.identifier
    try:
        folder = fill_variables(folder, environ) if folder else None
        identifier = fill_variables(identifier, environ)
    except Refused:  # noted where the daemon's own settings are resolved
        pass
    return _AutoLogs(
        folder=daemon.absolute(("child_log_dir",), folder) if folder else tempfile.gettempdir(),
        identifier=identifier,
        # Of the main file, the only one that may hold [daemon].
        config_path=str(Path(daemon.place.file).absolute()),
    )


class _Resolver:
    """Resolves one program after the other and remembers what it looked up for them."""

    def __init__(
        self, auto_logs: _AutoLogs, environ: Mapping[str, str], findings: Findings
    ) -> None:
        self._auto_logs = auto_logs
        self._environ = environ
        self._findings = findings
        self._users: dict[str, UserSpec | Refused] = {}
        self._env_files: dict[str, Mapping[str, str] | Refused] = {}

    def specs(self, name: str, group: str, program: Program) -> Iterator[ProcessSpec]:
        """The processes of one program in one group, until one of them turns out to be wrong."""
        options = program.options
        before = len(self._findings.problems)
        user = self._user(program)
        restart = self._restart(program)
        signal_mode, kill_mode = _WHOM[options.kill_mode]
        stop = StopPolicy(
            signal=options.stop_signal,
            kill_delay=options.kill_delay,
            signal_mode=signal_mode,
            kill_mode=kill_mode,
        )
        taken: set[str] = set()
        for replica in range(options.first_replica, options.first_replica + options.replicas):
            names: Names = {"replica": replica, "program": name, "group": group}
            process = self._process_name(program, names, taken)
            names = {**names, "process": process}
            argv = tuple(
                self._fill(program, ("command",), word, names) for word in options.command.argv
            )
            written = self._fill(program, ("command",), options.command.text, names)
            process_id = ProcessId(group, process)
            yield ProcessSpec(
                id=process_id,
                program=name,
                replica=replica,
                command=written or shlex.join(argv),
                argv=argv,
                description=options.description,
                labels=tuple(sorted(options.labels.items())),
                priority=options.priority,
                startup=options.startup,
                min_uptime=options.min_uptime,
                user=user,
                working_dir=self._path(program, ("working_dir",), options.working_dir, names),
                umask=options.umask,
                environment=self._environment(program, names),
                nice=options.nice,
                oom_score_adj=options.oom_score_adj,
                rlimits=tuple(limit for _, limit in sorted(options.rlimits.items())),
                new_session=options.new_session,
                stdin=self._stdin(program),
                socket=self._socket(program, names),
                restart=restart,
                stop=stop,
                stdout=self._log(program, "stdout", process_id, names),
                stderr=None
                if options.log.stderr.path == _MERGE
                else self._log(program, "stderr", process_id, names),
            )
            if len(self._findings.problems) > before:
                return

    def _process_name(self, program: Program, names: Names, taken: set[str]) -> str:
        """What a process is called: different from all in `taken`, which it is added to."""
        options = program.options
        template = options.process_name
        if not template:
            return (
                f"{names['program']}" if options.replicas == 1 else fill(_DEFAULT_NAME, names, {})
            )
        process = self._fill(program, ("process_name",), template, names)
        try:
            check_name(process)
        except Refused as why:
            problem = program.problem(("process_name",), why, typed=f"'{process}'")
            self._findings.problems.append(problem)
        if process in taken:
            again = Refused("calls several replicas the same", "put {replica} into it")
            problem = program.problem(("process_name",), again, typed=f"'{template}'")
            self._findings.problems.append(problem)
        taken.add(process)
        return process

    def _user(self, program: Program) -> UserSpec | None:
        text = program.options.user
        if text is None:
            return None
        if text not in self._users:
            try:
                self._users[text] = accounts.look_up(fill_variables(text, self._environ))
            except Refused as why:
                self._users[text] = why
        found = self._users[text]
        if isinstance(found, Refused):
            self._findings.problems.append(program.problem(("user",), found))
            return None
        return found

    def _restart(self, program: Program) -> RestartPolicy:
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
            flapping=FlappingPolicy(
                count=options.flapping_count, interval=options.flapping_interval
            ),
        )
        if program.is_sound("backoff_delay", "backoff_limit") and backoff.limit < backoff.delay:
            self._findings.problems.append(_backoff_order(program, backoff))
        elif program.is_sound("restart", *_RESTART_LIMIT):
            self._findings.warnings.extend(_unreachable_limit(program, policy, backoff))
        return policy

    def _stdin(self, program: Program) -> StdinMode:
        """What standard input is, unless that is taken."""
        options = program.options
        if options.socket is None:
            return options.stdin
        is_own = program.origin("stdin").section == program.section
        if options.stdin is StdinMode.PIPE and is_own:
            why = Refused("is taken", "standard input is the socket; leave out one of the two")
            self._findings.problems.append(program.problem(("stdin",), why, typed="'pipe'"))
        return StdinMode.NULL

    def _environment(self, program: Program, names: Names) -> tuple[tuple[str, str], ...]:
        variables: dict[str, str] = {}
        for written in program.options.env_file:
            path = self._path(program, ("env_file",), written, names)
            assert path is not None
            variables |= self._env_file(program, path)
        for name, value in program.options.environment.items():
            variables[name] = self._fill(program, ("environment", name), value, names)
        # Sorted, so that moving a line in a file isn't a change that restarts a program.
        return tuple(sorted(variables.items()))

    def _env_file(self, program: Program, path: str) -> Mapping[str, str]:
        if path not in self._env_files:
            try:
                self._env_files[path], problems = envfile.read(path)
            except Refused as why:
                self._env_files[path] = why
            else:
                self._findings.problems.extend(problems)
        found = self._env_files[path]
        if isinstance(found, Refused):
            self._findings.problems.append(program.problem(("env_file",), found))
            return {}
        return found

    def _log(self, program: Program, stream: str, process_id: ProcessId, names: Names) -> LogSpec:
        shared = program.options.log
        own: StreamOptions = getattr(shared, stream)
        if own.path == _AUTO:
            path: str | None = self._auto_logs.path(process_id, stream)
        else:
            path = self._path(program, ("log", stream), own.path, names)
        told = shared.events if own.events is None else own.events
        limit = shared.message_limit if own.message_limit is None else own.message_limit
        is_protocol = stream == "stdout" and bool(program.options.events)
        return LogSpec(
            path=path,
            rotate_size=shared.rotate_size if own.rotate_size is None else own.rotate_size,
            rotate_keep=shared.rotate_keep if own.rotate_keep is None else own.rotate_keep,
            strip_ansi=shared.strip_ansi,
            private=own.private or own.path == _AUTO,
            # What an event listener prints there are its answers, which have to be heard.
            told=told or is_protocol,
            message_limit=0 if is_protocol else limit,
            syslog=shared.syslog if own.syslog is None else own.syslog,
        )

    def _socket(self, program: Program, names: Names) -> SocketSpec | None:
        options = program.options.socket
        if options is None or not program.is_sound("socket"):
            return None
        owner = self._owner(program, options.owner) if options.owner is not None else None
        url = self._fill(program, ("socket", "listen"), options.listen, names)
        try:
            where = listening.read(url, options, owner)
        except Refused as why:
            problem = program.problem(("socket", "listen"), why, typed=f"'{url}'")
            self._findings.problems.append(problem)
            return None
        for name in ("mode", "owner"):
            if isinstance(where, TcpSocketSpec) and ("socket", name) in program.origins:
                vain = Refused("has no meaning for a socket on TCP", "leave it out")
                self._findings.problems.append(program.problem(("socket", name), vain))
        return where

    def _owner(self, program: Program, text: str) -> tuple[int, int] | None:
        try:
            return accounts.owner(fill_variables(text, self._environ))
        except Refused as why:
            self._findings.problems.append(program.problem(("socket", "owner"), why))
            return None

    def _path(
        self, program: Program, option: tuple[str, ...], path: str | None, names: Names
    ) -> str | None:
        if path is None:
            return None
        return program.absolute(option, self._fill(program, option, path, names))

    def _fill(self, program: Program, option: tuple[str, ...], text: str, names: Names) -> str:
        try:
            return fill(text, names, self._environ)
        except Refused as why:
            self._findings.problems.append(program.problem(option, why))
            return text


def _backoff_order(program: Program, backoff: ExponentialBackoff) -> Problem:
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
    program: Program, policy: RestartPolicy, backoff: ExponentialBackoff
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
    owners: dict[str, str] = {}
    for spec in (spec for specs in members.values() for spec in specs):
        if spec.socket is None:
            continue
        owner = owners.setdefault(spec.socket.url, spec.program)
        if owner != spec.program:
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
                problem = program.problem(("log", *stream, name), _NOT_SPOKEN)
                # Of [defaults] it is one problem, however many programs it reaches.
                if getattr(options, name) and problem not in findings.problems:
                    findings.problems.append(problem)
