"""Holds what was written against what it was written from, field by field.

Two configurations are the same here in spite of these differences, each of which is on purpose:

- `dialect`: the rules of the file's own format. An opsvisord with a file of its own calls itself
  opsvisord in its log, and `update` leaves stopped what was stopped by hand.
- the `name` of a server, and `allow_anonymous` where nobody could come in without a password;
- the letters in the name of a log called AUTO, which follow from the path of the configuration;
- limits below zero, which ask for no more than zero does;
- the order in which the variables of an environment are set;
- paths that begin where the daemon is started: they are written as they are from there now.

Whatever else differs is named, so that a migration that can't say something never says so little.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from opsvisor.config.listening import is_loopback
from opsvisor.config.settings import DaemonSettings, Dialect, Loaded, TcpServer, UnixServer
from opsvisor.core.plan import Group
from opsvisor.core.spec import LogSpec, ProcessId, ProcessSpec
from opsvisor.core.struct import Struct, replace

_AUTO_LETTERS = re.compile(r"-[0-9a-f]{8}\.log$")
_SECRET = frozenset({"environment", "credentials", "identities", "password", "username"})


class Difference(Struct, frozen=True, kw_only=True):
    """A field that isn't the same. `before` and `after` are "" where they may be a secret."""

    subject: str
    field: str
    before: str
    after: str

    def __str__(self) -> str:
        """What a person reads."""
        if not self.before:
            return f"{self.subject}: {self.field} differs"
        return f"{self.subject}: {self.field} is {self.after}, was {self.before}"


def compare(
    before: Loaded,
    after: Loaded,
    *,
    start: Path,
    base: Path,
    ids: Mapping[ProcessId, ProcessId],
    groups: Mapping[str, str],
) -> Iterator[Difference]:
    """All that differs. `ids` and `groups` are what Supervisor's are called afterwards.

    Relative paths begin in `start`, and those of programs in `base`.
    """
    yield from _differences(
        "opsvisord", _settings(before.settings, start), _settings(after.settings, start)
    )
    old_groups = {group.name: group for group in before.plan.groups}
    new_groups = {group.name: group for group in after.plan.groups}
    for name, group in old_groups.items():
        counterpart = new_groups.pop(groups.get(name, name), None)
        if counterpart is None:
            yield Difference(subject=f"group {name}", field="it", before="there", after="missing")
        else:
            yield from _differences(f"group {name}", _alone(group), _alone(counterpart))
    for name in new_groups:
        yield Difference(subject=f"group {name}", field="it", before="missing", after="there")
    new_specs = dict(after.plan.specs())
    for process_id, spec in before.plan.specs().items():
        found = new_specs.pop(ids.get(process_id, process_id), None)
        if found is None:
            yield Difference(subject=str(process_id), field="it", before="there", after="missing")
        else:
            yield from _differences(
                str(process_id), _spec(spec, base), replace(_spec(found, base), id=process_id)
            )
    for process_id in new_specs:
        yield Difference(subject=str(process_id), field="it", before="missing", after="there")


def _settings(settings: DaemonSettings, start: Path) -> DaemonSettings:
    return replace(
        settings,
        dialect=Dialect.NATIVE,
        min_fds=max(0, settings.min_fds),
        min_procs=max(0, settings.min_procs),
        auto_log_dir=_absolute(settings.auto_log_dir, start),
        working_dir=_absolute(settings.working_dir, start),
        servers=tuple(_server(server) for server in settings.servers),
    )


def _server(server: UnixServer | TcpServer) -> UnixServer | TcpServer:
    if isinstance(server, UnixServer):
        return replace(server, name="unix")
    is_safe = server.credentials is not None or is_loopback(server.host)
    return replace(server, name="http", allow_anonymous=server.allow_anonymous and not is_safe)


def _alone(group: Group) -> Group:
    return replace(group, name="", processes=())


def _spec(spec: ProcessSpec, start: Path) -> ProcessSpec:
    return replace(
        spec,
        environment=tuple(sorted(spec.environment)),
        working_dir=_absolute(spec.working_dir, start),
        stdout=_log(spec.stdout, start),
        stderr=None if spec.stderr is None else _log(spec.stderr, start),
    )


def _log(log: LogSpec, start: Path) -> LogSpec:
    path = _absolute(log.path, start)
    if log.private and path is not None:
        path = _AUTO_LETTERS.sub("-.log", path)
    return replace(log, path=path)


def _absolute(path: str | None, start: Path) -> str | None:
    """The path from the root, and without what means nothing. `..` does, behind a link."""
    if path is None:
        return None
    # Two slashes in front are left by POSIX to whoever has a use for them; Linux has none.
    return re.sub("^//", "/", str(start / path))


def _differences(subject: str, before: Any, after: Any, path: str = "") -> Iterator[Difference]:
    if before == after:
        return
    if isinstance(before, Struct) and type(before) is type(after):
        for field in before.__struct_fields__:
            name = f"{path}.{field}".removeprefix(".")
            yield from _differences(subject, getattr(before, field), getattr(after, field), name)
        return
    is_secret = not _SECRET.isdisjoint(path.split(".")) or path == "servers"
    yield Difference(
        subject=subject,
        field=path,
        before="" if is_secret else _brief(before),
        after="" if is_secret else _brief(after),
    )


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - fits a terminal line
