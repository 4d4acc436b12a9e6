"""[supervisorctl]: opsvisorctl asks the server that its own file names, with its password."""

import os
from urllib.parse import urlsplit

from opsvisor.compat.supervisor.config.control_file import ControlSettings, read_control_settings
from opsvisor.compat.supervisor.migrate.findings import Findings
from opsvisor.compat.supervisor.migrate.source import Source
from opsvisor.config.problems import ConfigError
from opsvisor.config.settings import Credentials, TcpServer, UnixServer

_LOCAL = frozenset({"localhost", "127.0.0.1", ""})


def check_control(source: Source, findings: Findings) -> None:
    """Note what [supervisorctl] says that opsvisorctl won't find in an opsvisor.toml."""
    section = source.ini.sections.get("supervisorctl")
    if section is None:
        return
    try:
        wanted = read_control_settings(source.start / source.ini.path, source.environ, source.raw)
    except ConfigError:  # it stands in an included file, where supervisorctl doesn't see it
        return
    server = next((s for s in source.loaded.settings.servers if _is_at(s, wanted)), None)
    for key, what in _unsaid(wanted, server, is_written="serverurl" in section.entries):
        entry = section.entries.get(key)
        findings.differ(section.name, entry.where if entry else section.where, what)


def _unsaid(
    wanted: ControlSettings, server: UnixServer | TcpServer | None, *, is_written: bool
) -> list[tuple[str, str]]:
    found = []
    defaults = ControlSettings()
    if server is None and is_written:
        what = f"serverurl: opsvisorctl asks this daemon; say -s {wanted.server_url} if not that"
        found.append(("serverurl", what))
    if server is not None and wanted.password is not None:
        credentials = server.credentials or Credentials(username="", password="")
        if (credentials.username, credentials.password) != (wanted.username, wanted.password):
            what = "password: opsvisorctl takes that of the server, which isn't it; say -u and -p"
            found.append(("password", what))
    if wanted.prompt != defaults.prompt:
        found.append(("prompt", "prompt: opsvisorctl has its own"))
    if wanted.history_file is not None:
        found.append(("history_file", "history_file: say opsvisorctl -r FILE"))
    return found


def _is_at(server: UnixServer | TcpServer, wanted: ControlSettings) -> bool:
    """Whether the URL is that of this server."""
    url = urlsplit(wanted.server_url)
    if isinstance(server, UnixServer):
        return url.scheme == "unix" and os.path.realpath(url.path) == os.path.realpath(server.path)
    try:
        return (
            url.scheme == "http"
            and url.port == server.port
            and ((url.hostname or "") == server.host or (url.hostname or "") in _LOCAL)
        )
    except ValueError:  # a port that is no number
        return False
