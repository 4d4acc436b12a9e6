"""Options become a Plan: replicas are numbered, templates filled, users and files looked up."""

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from opsvisor.config import accounts, envfile, listening
from opsvisor.config.auto_log import auto_path, usual_folder
from opsvisor.config.conflicts import NOT_SPOKEN, find_conflicts
from opsvisor.config.decode import Declared, Decoded
from opsvisor.config.document import KeyPath
from opsvisor.config.envfile import Variable
from opsvisor.config.findings import Findings
from opsvisor.config.kinds import check_name
from opsvisor.config.origins import How, Origin, Origins, Written
from opsvisor.config.probing import probe_spec
from opsvisor.config.problems import Place
from opsvisor.config.restart import restart_policy
from opsvisor.config.schema import KillTargets, ProgramOptions
from opsvisor.config.schema_streams import StreamOptions
from opsvisor.config.search import absolute
from opsvisor.config.template import Names, fill, fill_variables
from opsvisor.config.units import Refused, did_you_mean
from opsvisor.core.plan import EventFeed, Group, Plan
from opsvisor.core.probes import ProbeKind, ProbeSpec
from opsvisor.core.spec import (
    KillMode,
    LogSpec,
    ProcessId,
    ProcessSpec,
    Resources,
    SocketSpec,
    StdinMode,
    StopPolicy,
    TcpSocketSpec,
    UserSpec,
)
from opsvisor.core.struct import Struct

T = TypeVar("T")
Program = Declared[ProgramOptions]
# Names all kinds of events that can be listened to. Asked only where somebody listens.
EventKinds = Callable[[], Collection[str]]

SHARED_GROUP_PRIORITY = 999  # Supervisor's, for groups whose members don't decide it
_MERGE = "merge"
_AUTO = "auto"
_DEFAULT_NAME = "{program}_{replica}"
_WHOM = {  # the stop signal, SIGKILL
    KillTargets.CGROUP: (KillMode.GROUP, KillMode.CGROUP),
    KillTargets.PROCESS: (KillMode.PROCESS, KillMode.PROCESS),
    KillTargets.GROUP: (KillMode.GROUP, KillMode.GROUP),
    KillTargets.MIXED: (KillMode.PROCESS, KillMode.GROUP),
}


def resolve(
    decoded: Decoded,
    environ: Mapping[str, str],
    findings: Findings,
    *,
    event_kinds: EventKinds | None = None,
    origins: Origins | None = None,
) -> Plan:
    """The plan that the decoded options ask for. What is wrong with them goes to `findings`.

    Where its values were written goes to `origins`.
    `environ` is the daemon's own environment, for values that name its variables.
    """
    noted = Origins() if origins is None else origins
    resolver = _Resolver(_auto_logs(decoded, environ), environ, findings, noted)
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
            priority = alone.options.priority if alone else SHARED_GROUP_PRIORITY
        feed = _feed(decoded, group, names[group], findings)
        if feed is not None and event_kinds is not None:
            _check_kinds(decoded.programs[names[group][0]], feed, event_kinds(), findings)
        groups.append(Group(name=group, priority=priority, processes=tuple(specs), feed=feed))
    find_conflicts(decoded, members, findings)
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
        findings.problems.append(program.problem(("events",), NOT_SPOKEN))
    return EventFeed(kinds=program.options.events, buffer_size=program.options.events_buffer)


def _check_kinds(
    program: Program, feed: EventFeed, known: Collection[str], findings: Findings
) -> None:
    for kind in feed.kinds:
        if kind not in known:
            hint = did_you_mean(kind, known) or f"there are {', '.join(sorted(known))}"
            why = Refused(f"holds '{kind}', and there are no such events", hint)
            findings.problems.append(program.problem(("events",), why))


class _AutoLogs(Struct, frozen=True, kw_only=True):
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
        folder=daemon.absolute(("child_log_dir",), folder) if folder else usual_folder(),
        identifier=identifier,
        # Of the main file, the only one that may hold [daemon].
        config_path=str(absolute(Path(daemon.place.file))),
    )


class _Alike:
    """Gives of equal values the first: what replicas have in common is there once."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def __call__(self, value: T) -> T:
        known: T = self._known.setdefault(value, value)
        return known


class _Resolver:
    """Resolves one program after the other and remembers what it looked up for them."""

    def __init__(
        self,
        auto_logs: _AutoLogs,
        environ: Mapping[str, str],
        findings: Findings,
        origins: Origins,
    ) -> None:
        self._auto_logs = auto_logs
        self._environ = environ
        self._findings = findings
        self._origins = origins
        self._templates: set[KeyPath] = set()  # options of the program that were filled in
        self._users: dict[str, UserSpec | Refused] = {}
        self._env_files: dict[str, Mapping[str, Variable] | Refused] = {}

    def specs(self, name: str, group: str, program: Program) -> Iterator[ProcessSpec]:
        """The processes of one program in one group, until one of them turns out to be wrong."""
        options = program.options
        before = len(self._findings.problems)
        user = self._user(program)
        restart = restart_policy(program, self._findings)
        signal_mode, kill_mode = _WHOM[options.kill_mode]
        stop = StopPolicy(
            signal=options.stop_signal,
            kill_delay=options.kill_delay,
            signal_mode=signal_mode,
            kill_mode=kill_mode,
        )
        resources = Resources(
            memory_max=options.resources.memory_max,
            memory_high=options.resources.memory_high,
            cpu_max=options.resources.cpu_max,
            pids_max=options.resources.pids_max,
            oom_group=options.resources.oom_group,
        )
        self._templates.clear()
        of_files: Written = {}
        taken: set[str] = set()
        alike = _Alike()
        for replica in range(options.first_replica, options.first_replica + options.replicas):
            names: Names = {"replica": replica, "program": name, "group": group}
            process = self._process_name(program, names, taken)
            names = {**names, "process": process}
            argv = tuple(
                self._fill(program, ("command",), word, names) for word in options.command.argv
            )
            written = self._fill(program, ("command",), options.command.text, names)
            process_id = ProcessId(group, process)
            environment, of_files = self._environment(program, names)
            if ("env_file",) in self._templates:  # each process has files of its own
                self._origins.note_process(process_id, of_files)
                of_files = {}
            yield ProcessSpec(
                id=process_id,
                program=name,
                replica=replica,
                command=written or shlex.join(argv),
                argv=alike(argv),
                description=options.description,
                labels=tuple(sorted(options.labels.items())),
                priority=options.priority,
                startup=options.startup,
                min_uptime=options.min_uptime,
                user=user,
                working_dir=self._path(program, ("working_dir",), options.working_dir, names),
                umask=options.umask,
                environment=alike(environment),
                nice=options.nice,
                oom_score_adj=options.oom_score_adj,
                rlimits=tuple(limit for _, limit in sorted(options.rlimits.items())),
                resources=resources,
                new_session=options.new_session,
                stdin=self._stdin(program),
                socket=self._socket(program, names),
                restart=restart,
                stop=stop,
                on_fatal=options.on_fatal,
                on_exit=options.on_exit,
                stdout=alike(self._log(program, "stdout", process_id, names)),
                stderr=None
                if options.log.stderr.path == _MERGE
                else alike(self._log(program, "stderr", process_id, names)),
                startup_probe=self._probe(program, ProbeKind.STARTUP, names),
                readiness_probe=self._probe(program, ProbeKind.READINESS, names),
                liveness_probe=self._probe(program, ProbeKind.LIVENESS, names),
            )
            if len(self._findings.problems) > before:
                return
        self._origins.note_program(group, name, {**self._written(program), **of_files})

    def _written(self, program: Program) -> Written:
        """Where the options of a program were written."""
        filled = {*self._templates, *((*path, "path") for path in self._templates)}
        # A plain string in place of a table is what its first option would be.
        filled |= {path[:-1] for path in self._templates if path not in program.origins}
        written = {}
        for path, origin in program.origins.items():
            how = How.WRITTEN if origin.section == program.section else How.DEFAULTS
            if path in filled:
                how = How.TEMPLATE
            written[".".join(map(str, path))] = Origin(origin.place, how)
        return written

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

    def _environment(
        self, program: Program, names: Names
    ) -> tuple[tuple[tuple[str, str], ...], Written]:
        """The variables of a process, and where those were written that stand in files."""
        variables: dict[str, str] = {}
        of_files: dict[str, Origin] = {}
        for written in program.options.env_file:
            path = self._path(program, ("env_file",), written, names)
            assert path is not None
            for name, variable in self._env_file(program, path).items():
                variables[name] = variable.value
                of_files[f"environment.{name}"] = Origin(Place(path, variable.line), How.ENV_FILE)
        for name, value in program.options.environment.items():
            variables[name] = self._fill(program, ("environment", name), value, names)
            of_files.pop(f"environment.{name}", None)
        # Sorted, so that moving a line in a file isn't a change that restarts a program.
        return tuple(sorted(variables.items())), of_files

    def _env_file(self, program: Program, path: str) -> Mapping[str, Variable]:
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

    def _probe(self, program: Program, kind: ProbeKind, names: Names) -> ProbeSpec | None:
        return probe_spec(
            program,
            kind,
            lambda option, text: self._fill(program, option, text, names),
            self._findings,
        )

    def _owner(self, program: Program, text: str) -> tuple[int, int] | None:
        try:
            return accounts.owner(fill_variables(text, self._environ))
        except Refused as why:
            self._findings.problems.append(program.problem(("socket", "owner"), why))
            return None

    def _path(
        self, program: Program, option: KeyPath, path: str | None, names: Names
    ) -> str | None:
        if path is None:
            return None
        return program.absolute(option, self._fill(program, option, path, names))

    def _fill(self, program: Program, option: KeyPath, text: str, names: Names) -> str:
        try:
            filled = fill(text, names, self._environ)
        except Refused as why:
            self._findings.problems.append(program.problem(option, why))
            return text
        if filled != text:
            self._templates.add(option)
        return filled
