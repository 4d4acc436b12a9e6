"""[supervisorctl]: how the control program finds the daemon.

Imports little, because opsvisorctl reads this before it does anything else.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from opsvisor.compat.supervisor.config.expansions import environment_names, expand
from opsvisor.compat.supervisor.config.ini import read_alone
from opsvisor.compat.supervisor.config.refused import Refused
from opsvisor.config.problems import ConfigError, Place, Problem
from opsvisor.config.search import absolute
from opsvisor.core.struct import Struct, text_without

_SECRETS = ("username", "password")


class ControlSettings(Struct, frozen=True, kw_only=True):
    """How to reach the daemon, and how the shell looks. Paths are absolute, `~` expanded."""

    server_url: str = "http://localhost:9001"
    username: str | None = None
    password: str | None = None
    prompt: str = "supervisor"
    history_file: str | None = None

    def __repr__(self) -> str:
        """Everything but the password."""
        return text_without(self, "password")


def read_control_settings(
    path: Path, environ: Mapping[str, str], raw: bytes | None = None
) -> ControlSettings:
    """Read [supervisorctl] of this one file: supervisorctl knows no [include] either.

    If it was read by now, `raw` is what is in it. Raises ConfigError if the file can't be read or
    has no such section.
    """
    section = read_alone(path, raw).sections.get("supervisorctl")
    if section is None:
        what = ".ini file does not include supervisorctl section"
        raise ConfigError([Problem(Place(str(path)), what, "add a line [supervisorctl]")])
    names = environment_names(environ)
    values: dict[str, str] = {}
    problems = []
    for key in ("serverurl", "username", "password", "prompt", "history_file"):
        entry = section.entries.get(key)
        if entry is None:
            continue
        try:
            here = {"here": entry.here}
            of, secret = f"supervisorctl.{key}", key in _SECRETS
            values[key] = expand(entry.value, {**names, **here}, of=of, secret=secret)
        except Refused as why:
            problems.append(Problem(entry.where, why.what, why.hint))
    if problems:
        raise ConfigError(problems)
    return _settings(values)


def _settings(values: Mapping[str, str]) -> ControlSettings:
    defaults = ControlSettings()
    history_file = values.get("history_file")
    return ControlSettings(
        server_url=_server_url(values.get("serverurl", defaults.server_url)),
        username=values.get("username"),
        password=values.get("password"),
        prompt=values.get("prompt", defaults.prompt),
        history_file=_absolute(history_file) if history_file else None,
    )


def _server_url(url: str) -> str:
    """Of a URL with a port, supervisorctl takes no notice of what is before or behind that."""
    scheme, separator, rest = url.partition("://")
    if scheme == "unix":
        return f"unix://{_absolute(rest)}"
    return f"{scheme}{separator}{re.split('[/?#]', rest)[0].rpartition('@')[2]}"


def _absolute(path: str) -> str:
    return os.path.normpath(absolute(Path(os.path.expanduser(path))))  # noqa: PTH111 - as others
