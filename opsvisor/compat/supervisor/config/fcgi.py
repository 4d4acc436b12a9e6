"""[fcgi-program:x]: a program whose processes share a listening socket."""

import os
import re
from collections.abc import Mapping

from opsvisor.compat.supervisor.config.ini import Section
from opsvisor.compat.supervisor.config.options import FcgiProgram
from opsvisor.compat.supervisor.config.programs import Surroundings, read_program
from opsvisor.compat.supervisor.config.sections import Findings, SectionReader
from opsvisor.core.plan import Plan, rivals_for_sockets
from opsvisor.core.spec import (
    ProcessSpec,
    SocketSpec,
    StdinMode,
    TcpSocketSpec,
    UnixSocketSpec,
)
from opsvisor.core.struct import replace

_UNIX = "unix://"
_TCP = re.compile(r"tcp://([^\s:]+):(\d+)$")
_PORT_MAX = 65535
_TAKES = "socket takes unix:///absolute/path or tcp://host:port"


def read_fcgi_program(
    section: Section, group: str, around: Surroundings, *, as_member: bool = False
) -> list[ProcessSpec]:
    """The processes of one FastCGI program as members of `group`.

    Supervisor forgets the socket of such a program when it is put in a group. Here it has it.
    """
    specs = read_program(section, group, around, as_member=as_member)
    reader = SectionReader(section, around.names, around.findings, start=around.start)
    where = _socket(reader, section.label.strip())
    return [replace(spec, stdin=StdinMode.NULL, socket=where) for spec in specs]


def warn_of_shared_sockets(
    plan: Plan, sections: Mapping[str, Section], findings: Findings
) -> None:
    """Note programs that want one socket. With Supervisor the last to start cuts off the others.

    `sections` are those of FastCGI programs, by name.
    """
    for spec, owner in rivals_for_sockets(plan.specs().values()):
        assert spec.socket is not None
        mine, theirs = sections[spec.program], sections[owner]
        what = f"[{mine.name}] listens at {spec.socket.url}, as [{theirs.name}] does"
        hint = "only one of the two can be started at a time; give each its own"
        findings.warn(mine.where, what, hint)


def _socket(reader: SectionReader, program: str) -> SocketSpec | None:
    """The socket, in Supervisor's words where it is none: they don't name the file."""
    backlog = reader.get(FcgiProgram.SOCKET_BACKLOG)
    owner, mode = reader.get(FcgiProgram.SOCKET_OWNER), reader.get(FcgiProgram.SOCKET_MODE)
    written = reader.with_names({"program_name": program}).get(FcgiProgram.SOCKET)
    if not written:
        if written is None and reader.has(FcgiProgram.SOCKET):
            return None  # refused by now
        what = f'[{reader.section.name}] section requires a "socket" line'
        reader.reject(FcgiProgram.SOCKET, what, _TAKES)
        return None
    if written.startswith(_UNIX):
        path = written.removeprefix(_UNIX)
        if not path.startswith("/"):
            _reject(reader, f"{('Unix socket path %s is not an absolute path', path)}")
        return UnixSocketSpec(
            path=os.path.normpath(path),
            mode=0o700 if mode is None else mode,
            owner=owner,
            backlog=backlog,
        )
    if reader.has(FcgiProgram.SOCKET_OWNER) or reader.has(FcgiProgram.SOCKET_MODE):
        what = "socket_owner and socket_mode params should only be used with a Unix domain socket"
        _reject(reader, what)
        return None
    return _tcp(reader, written, backlog)


def _tcp(reader: SectionReader, written: str, backlog: int | None) -> SocketSpec | None:
    address = _TCP.match(written)
    if address is None:
        # Supervisor means to fill the value in, and prints the pair.
        _reject(reader, f"{('Bad socket format %s', written)}")
        return None
    digits = address[2].lstrip("0")[: len(str(_PORT_MAX)) + 1]  # int() refuses thousands of them
    host, port = address[1].lower(), int(digits or 0)
    if port < 1:
        _reject(reader, f"{port} is below lower bound (1)")
    if port > _PORT_MAX:
        _reject(reader, f"{port} is above upper bound ({_PORT_MAX})")
    return TcpSocketSpec(host="" if host == "*" else host, port=port, backlog=backlog)


def _reject(reader: SectionReader, what: str) -> None:
    reader.reject(FcgiProgram.SOCKET, f"{what} in [{reader.section.name}] socket", _TAKES)
