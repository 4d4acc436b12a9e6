"""The processes of a program become a [program.x] that asks for the same.

What is written follows from the specs, so that it is right whatever the file says. The file's own
texts are only asked for their `%(…)s`, and a template made of them is kept if it gives, for each
process, what its spec holds.
"""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any

from opsvisor.compat.supervisor.config.ini import Section
from opsvisor.compat.supervisor.migrate import toml_text
from opsvisor.compat.supervisor.migrate.expressions import (
    VARIABLE,
    Marked,
    mark_most,
    names_in,
    variables_in,
)
from opsvisor.compat.supervisor.migrate.leaves import PROGRAM, Leaves
from opsvisor.compat.supervisor.migrate.source import SetVariables, Source, read_variables
from opsvisor.compat.supervisor.migrate.wording import (
    CONSTANT,
    CannotSay,
    Wording,
    written_entries,
)
from opsvisor.config.schema import EarlyExit, KillTargets
from opsvisor.config.settings import UnixServer
from opsvisor.config.template import fill_variables
from opsvisor.config.units import Refused
from opsvisor.core.plan import EventFeed
from opsvisor.core.spec import (
    ExponentialBackoff,
    KillMode,
    LinearBackoff,
    LogSpec,
    ProcessId,
    ProcessSpec,
    StdinMode,
    UnixSocketSpec,
)
from opsvisor.core.struct import Struct, field

_TARGETS = {
    (KillMode.PROCESS, KillMode.PROCESS): KillTargets.PROCESS,
    (KillMode.GROUP, KillMode.GROUP): KillTargets.GROUP,
    (KillMode.PROCESS, KillMode.GROUP): KillTargets.MIXED,
}
_SPECIAL = {"SUPERVISOR_PROCESS_NAME": "{process}", "SUPERVISOR_GROUP_NAME": "{group}"}


def usable_name(name: str) -> str:
    """What a program, process or group is called here: a few characters can't be in a name."""
    return re.sub(r"[^\w.+@-]", "_", name) or "_"


class Standing(IntEnum):
    """What a variable is in a command."""

    WITHIN = 0  # a word, or between quotes
    AS_WORDS = 1  # as many as are in it


class ProgramTable(Struct, frozen=True, kw_only=True):
    """A [program.`name`]. `ids` are its processes: as Supervisor has them, and as they are here.

    `frozen` are the names, by the option of the section, that became today's values, and `trusted`
    variables that paths begin with, and that nobody knows to be absolute. `variables` are
    those of the environment that its command names.
    """

    name: str
    section: Section
    groups: tuple[str, ...]
    priority: int
    leaves: Leaves
    ids: Mapping[ProcessId, ProcessId]
    frozen: Mapping[str, frozenset[str]]
    trusted: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, Standing] = field(default_factory=dict)


def write_table(
    source: Source,
    section: Section,
    specs: Sequence[ProcessSpec],
    *,
    name: str,
    groups: Mapping[str, str],
    feed: EventFeed | None,
) -> ProgramTable:
    """One table for all these processes of one program. Raises CannotSay.

    `groups` are the names that Supervisor's groups have here.
    """
    return _Writer(source, section, specs, name, groups, feed=feed).write()


class _Writer(Wording):
    feed: EventFeed | None = None
    variables: dict[str, Standing] = field(default_factory=dict)

    def write(self) -> ProgramTable:
        groups = tuple(dict.fromkeys(self.groups[spec.id.group] for spec in self.specs))
        self.carried = {**self.source.carried, "process_num": "{replica}"}
        if self.name == self.first.program:
            self.carried["program_name"] = "{program}"
        if all(self.groups[spec.id.group] == spec.id.group for spec in self.specs):
            self.carried["group_name"] = "{group}"
        self._numbers()
        own = self._own_variables()
        self.carried |= {f"{VARIABLE}{name}": text for name, text in own.templates.items()}
        self._process_name()
        self._command()
        if groups != (self.name,):
            self.put(("group",), groups[0] if len(groups) == 1 else groups)
        self.same(("priority",), lambda spec: spec.priority)
        self.same(("startup",), lambda spec: spec.startup)
        self._user()
        self.path(("working_dir",), "directory", lambda spec: spec.working_dir)
        self.same(("umask",), lambda spec: spec.umask)
        self._environment(own)
        self._socket()
        self._restart()
        self.same(("on_fatal",), lambda spec: spec.on_fatal)
        self.same(("on_exit",), lambda spec: spec.on_exit)
        self._stop()
        self._logs()
        if self.feed is not None:
            self.put(("events",), self.feed.kinds)
            self.put(("events_buffer",), self.feed.buffer_size)
        for key, entry in written_entries(self.section):
            self.frozen.setdefault(key, frozenset(names_in(entry.value)) - CONSTANT)
        return ProgramTable(
            name=self.name,
            section=self.section,
            groups=groups,
            priority=self.first.priority,
            leaves=self.leaves,
            ids={
                spec.id: ProcessId(self.groups[spec.id.group], self.processes[spec.id])
                for spec in self.specs
            },
            frozen=self.frozen,
            trusted=self.trusted,
            variables=self.variables,
        )

    # -- what a table is made of -------------------------------------------------------------

    def _numbers(self) -> None:
        """The same numbers in each group, without a gap."""
        numbers: dict[str, list[int]] = {}
        for spec in self.specs:
            numbers.setdefault(spec.id.group, []).append(spec.replica)
        (one, *others) = (sorted(found) for found in numbers.values())
        if any(one != other for other in others) or one != list(range(one[0], one[0] + len(one))):
            raise CannotSay("numprocs")
        self.put(("replicas",), len(one))
        self.put(("first_replica",), one[0])

    def _process_name(self) -> None:
        for spec in self.specs:
            self.processes[spec.id] = usable_name(spec.id.name)
            if len(self.specs) > 1 and self.processes[spec.id] != spec.id.name:
                raise CannotSay("process_name")
        count = sum(spec.id.group == self.first.id.group for spec in self.specs)
        unwritten = "{program}" if count == 1 else "{program}_{replica}"
        marked = self.mark("process_name")
        written = marked.process(marked.text.strip()) if marked else None
        template = self.choose(
            "process_name",
            lambda spec: self.processes[spec.id],
            [unwritten, written],
            with_process=False,
        )
        self.put(("process_name",), None if template == unwritten else template)

    def _command(self) -> None:
        """A string that is split into the same words, and reads the same in a list."""

        def try_with(carried: Mapping[str, str]) -> Marked | None:
            marked = self.mark("command", carried)
            written = marked.process(marked.text) if marked is not None else None
            return marked if written is not None and self._is_command(written) else None

        raw = self.section.entries["command"].value
        marked = mark_most(raw, self.carried, try_with)
        if marked is None:
            raise CannotSay("command")
        self.frozen["command"] = marked.frozen - CONSTANT
        self._variables_in_command(marked)
        self.leaves["command",] = toml_text.string(marked.process(marked.text) or "")

    def _variables_in_command(self, marked: Marked) -> None:
        """Find those that may have been several words, and aren't any more."""
        words = split(marked.text)
        for mark, template in marked.templates.items():
            is_bare = len(split(marked.text.replace(mark, f"{mark} {mark}"))) > len(words)
            for name in variables_in(template):
                self.variables[name] = max(
                    self.variables.get(name, Standing.WITHIN),
                    Standing.AS_WORDS if is_bare and mark in words else Standing.WITHIN,
                )

    def _is_command(self, template: str) -> bool:
        words = split(template)
        return all(
            tuple(self.fill(word, spec) for word in words) == spec.argv
            and self.fill(template, spec) == spec.command
            for spec in self.specs
        )

    def _user(self) -> None:
        user = self.alike("user", lambda spec: spec.user)
        if user is None:
            return
        text = user.name
        marked = self.mark("user", self.source.carried_by_daemon)
        if marked is not None and marked.templates:
            template = marked.daemon(marked.text.strip())
            if template is not None and self._is_user(template, user.name, user.uid):
                text = template
                self.frozen["user"] = marked.frozen - CONSTANT
        self.put(("user",), text)

    def _is_user(self, template: str, name: str, uid: int) -> bool:
        try:
            return fill_variables(template, self.source.environ) in (name, str(uid))
        except Refused:
            return False

    def _own_variables(self) -> SetVariables:
        entry = self.section.entries.get("environment")
        if entry is None:
            return SetVariables()
        names = {**self.source.names, **self.names_of_first()}
        own = read_variables(entry, names, self.carried)
        self.own_values = dict(own.values)
        return own

    def _environment(self, own: SetVariables) -> None:
        variables = dict(self.first.environment)
        self.alike("environment", lambda spec: dict(spec.environment).keys())
        url = self.mark("serverurl")
        frozen = set(own.frozen - CONSTANT)
        for name in variables:
            written = own.templates.get(name, self.source.environment.get(name))
            candidates = [written, _SPECIAL.get(name)]
            if name == "SUPERVISOR_SERVER_URL" and name not in own.templates and url is not None:
                candidates.append(url.process(url.text))
            if name == "SUPERVISOR_SERVER_URL":
                candidates.append(self._server_url())
            template = self.choose(
                "environment",
                lambda spec, name=name: dict(spec.environment)[name],  # type: ignore[misc]  # bound
                candidates,
            )
            if name in own.templates and template != own.templates[name]:
                frozen |= self.names_of("environment")
            elif name == "SUPERVISOR_SERVER_URL" and url is not None:
                is_carried = template == url.process(url.text)
                self.frozen["serverurl"] = (
                    url.frozen - CONSTANT if is_carried else self.names_of("serverurl")
                )
            self.leaves["environment", name] = toml_text.string(template)
        self.frozen["environment"] = frozenset(frozen)

    def _server_url(self) -> str | None:
        """That of the daemon's socket, where its path names variables; None of any other."""
        server = next(iter(self.source.loaded.settings.servers), None)
        if not isinstance(server, UnixServer):
            return None
        entry = self.source.ini.sections[server.name].entries["file"]
        marked = self.source.mark(entry, self.source.carried_by_daemon, {})
        written = marked.process(marked.text.strip()) if marked and marked.templates else None
        return written and f"unix://{written}"

    def _restart(self) -> None:
        self.same(("min_uptime",), lambda spec: spec.min_uptime)
        policy = self.alike("autorestart", lambda spec: spec.restart)
        run = policy.run_backoff
        assert isinstance(run, ExponentialBackoff)
        self.put(("restart",), policy.mode)
        self.put(("success_exit_codes",), policy.success)
        self.put(("restart_prevent_exit_codes",), policy.prevent)
        is_failure = policy.early_exit_fails
        self.put(("early_exit",), EarlyExit.FAILURE if is_failure else EarlyExit.BY_CODE)
        self.put(("backoff_delay",), run.delay)
        self.put(("backoff_factor",), run.factor)
        self.put(("backoff_limit",), run.limit)
        self.put(("backoff_jitter",), run.jitter)
        self.put(("backoff_reset",), policy.backoff_reset)
        if isinstance(policy.start_backoff, LinearBackoff):
            self.put(("start_backoff_step",), policy.start_backoff.step)
        self.put(("restart_limit_count",), policy.limit.count if policy.limit else 0)
        self.put(("fatal_retry_delay",), policy.fatal_retry_delay)
        self.put(("start_retries",), policy.failed_starts_max)

    def _stop(self) -> None:
        stop = self.alike("stopsignal", lambda spec: spec.stop)
        self.put(("stop_signal",), stop.signal)
        if stop.signal == 0:
            self.leaves["stop_signal",] = "0"
        self.put(("kill_delay",), stop.kill_delay)
        self.put(("kill_mode",), _TARGETS[stop.signal_mode, stop.kill_mode])

    def _logs(self) -> None:
        self.alike("redirect_stderr", lambda spec: spec.stderr is None)
        self._log("stdout", lambda spec: spec.stdout)
        if self.first.stderr is None:
            self.put(("log", "stderr", "path"), "merge")
            self.frozen["stderr_logfile"] = frozenset()  # whatever it says, nobody asks
        else:
            self._log("stderr", _stderr)
        self.same(("log", "strip_ansi"), lambda spec: spec.stdout.strip_ansi)
        for option in ("rotate_size", "rotate_keep", "syslog", "events", "message_limit"):
            self._of_both(option)

    def _of_both(self, option: str) -> None:
        """An option that both streams have: said once if it is the same for both."""
        shared, own = ("log", option), ("log", "stderr", option)
        self.same(shared, lambda spec: self._log_value(option, "stdout", spec))
        if self.first.stderr is None:
            return
        self.same(own, lambda spec: self._log_value(option, "stderr", spec))
        if self.leaves[own] == self.leaves[shared]:
            del self.leaves[own]
        elif not option.startswith("rotate"):  # what is off unless one of the two says so
            self.leaves["log", "stdout", option] = self.leaves.pop(shared)
            for stream in ("stdout", "stderr"):
                if self.leaves["log", stream, option] == PROGRAM.default(shared):
                    del self.leaves["log", stream, option]

    def _log_value(self, option: str, stream: str, spec: ProcessSpec) -> Any:
        log = spec.stdout if stream == "stdout" else _stderr(spec)
        if option == "events":
            # What an event listener prints are its answers, heard without being asked for.
            return log.told and not (stream == "stdout" and self.feed is not None)
        return getattr(log, option)

    def _log(self, stream: str, log_of: Callable[[ProcessSpec], LogSpec]) -> None:
        path = ("log", stream, "path")
        if self.alike(f"{stream}_logfile", lambda spec: log_of(spec).private):
            self.put(path, "auto")
            self.frozen[f"{stream}_logfile"] = frozenset()
        else:
            self.path(path, f"{stream}_logfile", lambda spec: log_of(spec).path, is_log=True)

    def _socket(self) -> None:
        """Where its processes listen, which takes the place of what `stdin` says."""
        if self.first.socket is None:
            self.same(("stdin",), lambda spec: spec.stdin)
            return
        self.put(("stdin",), StdinMode.PIPE)  # as everybody's, and dropped where it isn't
        marked = self.mark("socket")
        written = marked.process(marked.text) if marked else None
        listen = self.choose("socket", _url, [written], marked=marked)
        self.put(("socket", "listen"), listen)
        self.same(("socket", "backlog"), lambda spec: spec.socket and spec.socket.backlog)
        if isinstance(self.first.socket, UnixSocketSpec):
            self.same(("socket", "mode"), lambda spec: getattr(spec.socket, "mode", None))
            owner = self.first.socket.owner
            user = self.first.user
            if owner is not None and owner != ((user.uid, user.gid) if user else None):
                uid, gid = owner
                self.put(("socket", "owner"), f"{uid}" if gid < 0 else f"{uid}:{gid}")


def _stderr(spec: ProcessSpec) -> LogSpec:
    assert spec.stderr is not None, "one that is merged is treated before"
    return spec.stderr


def _url(spec: ProcessSpec) -> str:
    assert spec.socket is not None, "programs without one are treated before"
    return spec.socket.url


def split(text: str) -> list[str]:
    """The words of a command, none if it can't be split."""
    try:
        return shlex.split(text)
    except ValueError:
        return []
