"""Files that the daemon has a use for, and that some program's output would go into as well."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from opsvisor.config.settings import DaemonSettings, UnixServer
from opsvisor.config.units import Refused
from opsvisor.core.spec import ProcessSpec
from opsvisor.core.struct import Struct

# What the daemon works with in its state directory. Anything else may be there, too.
STATE_FILES = ("lock", "memory", "memory.new", "foretold", "keeper")

_DEVICES = "/dev/"  # can be shared

_APART = "give each its own file"
_ELSEWHERE = "give it a file of its own: output would make that one useless"


class Collision(Struct, frozen=True, kw_only=True):
    """A stream whose file is one of the daemon's. `is_lost`: that one is worth nothing then."""

    spec: ProcessSpec
    stream: str
    path: str
    why: Refused
    is_lost: bool


def collisions(
    specs: Iterable[ProcessSpec], settings: DaemonSettings, files: Iterable[str], *, start: Path
) -> Iterator[Collision]:
    """All there are, as far as paths tell: no link is followed.

    `files` are those of the configuration. Paths that are relative begin in `start`.
    """
    beginning = str(start)
    useless = _lost_by_output(settings, files, beginning)
    mixed = _mixed_with_output(settings, beginning)
    # A look at the last names alone, as there may be thousands of logs and they take time.
    names = {_last(path) for path in (*useless, *mixed)}
    for spec in specs:
        for stream, log in (("stdout", spec.stdout), ("stderr", spec.stderr)):
            if log is None or log.path is None or _last(log.path) not in names:
                continue
            path = _whole(log.path, beginning)
            is_lost = path in useless
            says = useless.get(path) or mixed.get(path)
            if not says or path.startswith(_DEVICES):
                continue
            why = Refused(says, _ELSEWHERE if is_lost else _APART)
            yield Collision(spec=spec, stream=stream, path=log.path, why=why, is_lost=is_lost)


def _lost_by_output(
    settings: DaemonSettings, files: Iterable[str], start: str
) -> Mapping[str, str]:
    found = {_whole(file, start): "is a file of this configuration" for file in files}
    if settings.pid_file is not None:
        found[_whole(settings.pid_file, start)] = "is the daemon's pid file"
    for server in settings.listeners:
        if isinstance(server, UnixServer):
            found[_whole(server.path, start)] = "is a socket of the daemon"
    if settings.state_dir is not None:
        for name in STATE_FILES:
            path = _whole(f"{settings.state_dir}/{name}", start)
            found[path] = "is a file of the daemon's state directory"
    return found


def _mixed_with_output(settings: DaemonSettings, start: str) -> Mapping[str, str]:
    """Both append, but each rotates the file away under the other."""
    logs = (
        (settings.log, "is the daemon's own log"),
        (settings.audit_log, "is the daemon's audit log"),
    )
    return {_whole(log.path, start): says for log, says in logs if log.path is not None}


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _whole(path: str, start: str) -> str:
    whole = os.path.normpath(os.path.join(start, path))  # noqa: PTH118 - Path keeps `..`
    # Two slashes in front are left by POSIX to whoever has a use for them; Linux has none.
    return whole[1:] if whole.startswith("//") else whole
