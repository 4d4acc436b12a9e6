"""AUTO logs of Supervisor's files: there from the start, and gone at the next one.

Supervisor makes their names up at random, so nobody can find the old ones again; here a process
keeps its file's name. Both names have the same shape, and what a supervisord left is removed too.
"""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

from opsvisor.config.settings import DaemonSettings
from opsvisor.core.events import Event, ProcessAdded
from opsvisor.core.spec import LogSpec

_BACKUP = r"(?:\.\d{1,4})?"


class AutoLogs:
    """Those of one life of the daemon. `warn` is told what is in their way."""

    def __init__(self, settings: DaemonSettings, warn: Callable[[str], None]) -> None:
        self._settings = settings
        self._warn = warn

    def remove_old(self) -> None:
        """Remove those of an earlier life, if the settings want that."""
        if self._settings.auto_log_dir is not None:
            for problem in remove_old(self._settings.auto_log_dir, self._settings.identifier):
                self._warn(problem)

    def on_event(self, event: Event) -> None:
        """Create those of a process that is new."""
        if isinstance(event, ProcessAdded):
            for log in (event.spec.stdout, event.spec.stderr):
                problem = create(log) if log is not None else ""
                if problem:
                    self._warn(problem)


def remove_old(directory: str, identifier: str) -> list[str]:
    """Remove the AUTO logs of an earlier daemon of this identifier; gives what went wrong.

    Only regular files that belong to us: the directory is often /tmp, where others may write.
    """
    of_ours = re.compile(
        rf".+-(?:stdout|stderr)---{re.escape(identifier)}-[a-z0-9_]{{8}}\.log{_BACKUP}", re.DOTALL
    )
    try:
        names = [name for name in os.listdir(directory) if of_ours.fullmatch(name)]  # noqa: PTH208 - names, not paths
    except OSError as error:
        return [f"Could not clear childlog dir {directory}: {error.strerror}"]
    problems = []
    for path in (Path(directory, name) for name in sorted(names)):
        try:
            found = path.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
                path.unlink()
        except FileNotFoundError:
            continue  # somebody was faster, a daemon of the same name perhaps
        except OSError as error:
            problems.append(f"Failed to clean up {str(path)!r}: {error.strerror}")
    return problems


def create(log: LogSpec) -> str:
    """Have the file of an AUTO log, empty and for us alone, if it isn't there.

    Whoever asks where a process logs finds a file there before its first start, as with
    Supervisor. Gives the problem, "" if there is none.
    """
    if not log.private or log.path is None:
        return ""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        os.close(os.open(log.path, flags, 0o600))
    except FileExistsError:
        return ""
    except OSError as error:
        return f"could not create {log.path}: {error.strerror}"
    return ""
