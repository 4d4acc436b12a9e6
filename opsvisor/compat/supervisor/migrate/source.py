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
from opsvisor.compat.supervisor.migrate.expressions import Marked, try_mark
from opsvisor.compat.supervisor.migrate.made_up import Completed
from opsvisor.config.settings import Loaded
from opsvisor.core.struct import Struct

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Source(Struct, frozen=True, kw_only=True):
    """A configuration that was read without error.

    `names` are what values may be expanded with, `carried` the templates for those that we have
    words for: in programs, and in the daemon's own values. `environment` are the variables of
    [supervisord], as templates of a process; None can't be said so. `own` is what the file says
    to us. `made_up` are the values of `environ` that nobody set.
    """

    ini: Ini
    loaded: Loaded
    comments: Comments
    environ: Mapping[str, str]
    made_up: Mapping[str, str]
    start: Path
    names: Names
    carried: Mapping[str, str]
    carried_by_daemon: Mapping[str, str]
    environment: Mapping[str, str | None]
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


def read_source(path: Path, completed: Completed, *, start: Path) -> Source:
    """The configuration at `path`, which was loaded in this directory."""
    environ = completed.environ
    names: Names = {**environment_names(environ), "host_node_name": platform.node()}
    ini = read_all(start / path, names)
    carried = {f"ENV_{name}": f"${{{name}}}" for name in environ if _VARIABLE.fullmatch(name)}
    given = ini.sections["supervisord"].entries.get("environment")
    variables: dict[str, str] = {}
    environment: dict[str, str | None] = {}
    if given is not None:
        variables, environment = read_variables(given, names, carried)
    by_daemon = {name: t for name, t in carried.items() if name[4:] not in variables}
    by_program = by_daemon | {
        f"ENV_{name}": template for name, template in environment.items() if template is not None
    }
    return Source(
        ini=ini,
        loaded=completed.loaded,
        comments=collect(ini),
        environ=environ,
        made_up=completed.made_up,
        start=start,
        names=(all_names := {**names, **environment_names(variables)}),
        own=read_own(ini, all_names, Findings(), start=start),
        carried=by_program,
        carried_by_daemon=by_daemon,
        environment=environment,
    )


def read_variables(
    entry: Entry, names: Names, carried: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str | None]]:
    """The variables of an `environment=`: their values, and their templates of a process."""
    names = {**names, "here": entry.here}
    values: Mapping[str, str] = {}
    templates: dict[str, str | None] = {}
    try:
        plain = try_mark(entry.value, names, {})
        values = parse_environment(plain.text).values if plain else {}
        marked = try_mark(entry.value, names, carried)
        if marked is not None:
            found = parse_environment(marked.text).values
            templates = {name: marked.process(value) for name, value in found.items()}
    except Refused:  # with words in the place of values it can't be read any more
        pass
    return dict(values), {name: templates.get(name) for name in values}
