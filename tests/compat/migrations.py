"""Migrations for tests, and an opinion of their own on whether two configurations are the same."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisor_files import write

from opsvisor.compat.supervisor.config.load import load
from opsvisor.compat.supervisor.migrate.migration import Migration, migrate
from opsvisor.config.load import native_text
from opsvisor.config.settings import Loaded
from opsvisor.core.spec import ProcessSpec
from opsvisor.core.struct import Struct

# Enough to be complete: a server, and no name of a machine anywhere.
HEAD = """\
[unix_http_server]
file = %(here)s/s
[supervisord]
nodaemon = true
logfile = %(here)s/d.log
pidfile = %(here)s/d.pid
"""


def migrated(
    folder: Path, text: str, environ: Mapping[str, str] | None = None, *, head: str = HEAD
) -> Migration:
    """What becomes of a main file of this text, behind `head`."""
    path = write(folder, head + text)
    return migrate(path, environ or {}, start=folder, target=folder / "opsvisor.toml")


def differences(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """What a migration says it can't say."""
    found = migrated(folder, text, environ).differences
    return [str(one).replace(f"{folder}/", "") for one in found]


def notes(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """What it says besides, except for what it always says."""
    found = migrated(folder, text, environ).notes
    texts = [str(one).replace(f"{folder}/", "") for one in found]
    return [text for text in texts if "update leaves stopped" not in text]


def program(done: Migration, name: str = "a") -> list[str]:
    """The lines of one [program.x]."""
    _, _, rest = done.text.partition(f"[program.{name}]\n")
    return rest.partition("\n\n")[0].splitlines()


def both(
    folder: Path, done: Migration, environ: Mapping[str, str] | None = None
) -> tuple[Loaded, Loaded]:
    """The configuration that was migrated, and the one it became."""
    before = load(folder / "supervisord.conf", environ or {}, start_directory=folder)
    return before, native_text(done.text, folder / "opsvisor.toml", environ or {})


def _plain(path: str | None, base: Path) -> str | None:
    """From the root, without slashes and dots that mean nothing."""
    return None if path is None else str(Path("/", *(base / path).parts[1:]))


def _fields(value: Any) -> Any:
    """A struct as a dictionary, with all that it is made of."""
    if isinstance(value, Struct):
        return {name: _fields(getattr(value, name)) for name in value.__struct_fields__}
    return tuple(map(_fields, value)) if type(value) is tuple else value


def facts(loaded: Loaded, start: Path) -> dict[str, Any]:
    """All that a configuration asks for, but for what is different on purpose."""
    base = start / (loaded.settings.working_dir or "")
    settings = _fields(loaded.settings)
    del settings["dialect"]
    settings["auto_log_dir"] = _plain(settings["auto_log_dir"], start)
    for limit in ("min_fds", "min_procs"):
        settings[limit] = max(0, settings[limit])  # below zero asks for no more than zero does
    settings["working_dir"] = _plain(settings["working_dir"], start)
    for server in settings["servers"]:
        del server["name"]
        is_local = server.get("host") == "localhost" or server.get("host", "").startswith("127.")
        if "port" in server and (server["credentials"] or is_local):
            del server["allow_anonymous"]
    return {
        "settings": settings,
        "groups": [(g.name, g.priority, g.feed) for g in loaded.plan.groups],
        "processes": {str(i): _process(spec, base) for i, spec in loaded.plan.specs().items()},
    }


def _process(spec: ProcessSpec, base: Path) -> dict[str, Any]:
    facts: dict[str, Any] = _fields(spec)
    facts["environment"] = dict(spec.environment)
    facts["working_dir"] = _plain(spec.working_dir, base)
    for log in filter(None, (facts["stdout"], facts["stderr"])):
        log["path"] = _plain(log["path"], base)
        if log["private"]:
            log["path"] = re.sub(r"-\w{8}\.log$", "", log["path"])
    return facts


def assert_same(
    folder: Path, text: str, environ: Mapping[str, str] | None = None, *, head: str = HEAD
) -> Migration:
    """Migrate, and hold the two against each other; the migration, for a closer look."""
    done = migrated(folder, text, environ, head=head)
    assert not done.differences, [str(one) for one in done.differences]
    before, after = both(folder, done, environ)
    assert facts(before, folder) == facts(after, folder), done.text
    return done
