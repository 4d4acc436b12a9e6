"""What is migrated: a configuration of Supervisor, in all the forms in which it is looked at."""

import platform
import re
from collections.abc import Mapping
from pathlib import Path

from opsvisor.compat.supervisor.config.environment import parse_environment
from opsvisor.compat.supervisor.config.expansions import Names, environment_names
from opsvisor.compat.supervisor.config.ini import Entry, Ini, read_all
from opsvisor.compat.supervisor.config.own import Own, read_own
from opsvisor.compat.supervisor.config.refused import Refused
from opsvisor.compat.supervisor.config.sections import Findings
from opsvisor.compat.supervisor.migrate.comments import Comments, collect
from opsvisor.compat.supervisor.migrate.expressions import Marked, mark, mark_most, try_mark
from opsvisor.compat.supervisor.migrate.made_up import Completed
from opsvisor.config.settings import Loaded
from opsvisor.core.struct import Struct, field

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Source(Struct, frozen=True, kw_only=True):
    """A configuration that was read without error.

    `names` are what values may be expanded with, `carried` the templates for those that we have
    words for: in programs, and in the daemon's own values. `environment` are the variables of
    [supervisord], as templates of a process, and `frozen` the names that became their values in
    them. `own` is what the file says
    to us. `raw` is what the main file
    holds if it can't be read again, `made_up` are the values of `environ` that nobody set.
    """

    ini: Ini
    loaded: Loaded
    comments: Comments
    raw: bytes | None
    environ: Mapping[str, str]
    made_up: Mapping[str, str]
    start: Path
    names: Names
    carried: Mapping[str, str]
    carried_by_daemon: Mapping[str, str]
    environment: Mapping[str, str]
    frozen: frozenset[str]
    own: Own

    @property
    def base(self) -> Path:
        """Where relative paths of programs begin: where the daemon is by the time they start."""
        directory = self.loaded.settings.working_dir
        return self.start / directory if directory is not None else self.start

    def mark(
        self, entry: Entry, carried: Mapping[str, str], names: Names, *, doubled: bool = False
    ) -> Marked | None:
        """The text of an entry, its carried names marked. Of a `doubled` one `%%%%` is one `%`."""
        raw = entry.value.replace("%%%%", "%%") if doubled else entry.value
        return try_mark(raw, {**self.names, **names, "here": entry.here}, carried)


class SetVariables(Struct, frozen=True, kw_only=True):
    """What an `environment=` sets: the values, and what they are as templates of a process.

    `frozen` are the names that became their values there.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)
    frozen: frozenset[str] = frozenset()


def read_source(path: Path, completed: Completed, *, start: Path) -> Source:
    """The configuration at `path`, which was loaded in this directory."""
    environ = completed.environ
    names: Names = {**environment_names(environ), "host_node_name": platform.node()}
    ini = read_all(start / path, names, completed.raw)
    carried = {f"ENV_{name}": f"${{{name}}}" for name in environ if _VARIABLE.fullmatch(name)}
    given = ini.sections["supervisord"].entries.get("environment")
    shared = read_variables(given, names, carried) if given else SetVariables()
    by_daemon = {name: t for name, t in carried.items() if name[4:] not in shared.values}
    by_program = by_daemon | {f"ENV_{name}": text for name, text in shared.templates.items()}
    return Source(
        ini=ini,
        loaded=completed.loaded,
        comments=collect(ini),
        raw=completed.raw,
        environ=environ,
        made_up=completed.made_up,
        start=start,
        names=(all_names := {**names, **environment_names(shared.values)}),
        own=read_own(ini, all_names, Findings(), start=start),
        carried=by_program,
        carried_by_daemon=by_daemon,
        environment=shared.templates,
        frozen=shared.frozen,
    )


def read_variables(entry: Entry, names: Names, carried: Mapping[str, str]) -> SetVariables:
    """What an `environment=` sets, with as many names carried as leave it the same."""
    names = {**names, "here": entry.here}
    plain = mark(entry.value, names, {})
    values = parse_environment(plain.text).values

    def try_with(carried: Mapping[str, str]) -> Marked | None:
        marked = mark(entry.value, names, carried)
        try:
            found = parse_environment(marked.text).values
        except Refused:  # with words in the place of values it can't be read any more
            return None
        is_same = {name: marked.filled(value) for name, value in found.items()} == values
        is_said = all(marked.process(value) is not None for value in found.values())
        return marked if is_same and is_said else None

    marked = mark_most(entry.value, carried, try_with) or plain
    templates = {
        name: marked.process(value) or ""
        for name, value in parse_environment(marked.text).values.items()
    }
    return SetVariables(values=values, templates=templates, frozen=marked.frozen)
