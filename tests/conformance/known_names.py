"""Everything of Supervisor that has a name, as the installed package itself knows it."""

import inspect
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from supervisor.events import EventTypes  # type: ignore[import-untyped]  # without annotations
from supervisor.options import (  # type: ignore[import-untyped]  # as above
    ClientOptions,
    ServerOptions,
    UnhosedConfigParser,
)
from supervisor.rpcinterface import (  # type: ignore[import-untyped]  # as above
    SupervisorNamespaceRPCInterface,
)
from supervisor.supervisorctl import (  # type: ignore[import-untyped]  # as above
    DefaultControllerPlugin,
)
from supervisor.xmlrpc import (  # type: ignore[import-untyped]  # as above
    Faults,
    SystemNamespaceRPCInterface,
)

# One section of every kind. Reading it asks for every option there is.
_EVERY_SECTION = """\
[unix_http_server]
file=%(here)s/s
[inet_http_server]
port=1
[supervisord]
[supervisorctl]
[program:x]
command=x
[eventlistener:x]
command=x
events=TICK
[fcgi-program:y]
command=x
socket=unix:///tmp/nosuch
[group:g]
programs=x
[rpcinterface:x]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[ctlplugin:x]
supervisor.ctl_factory=supervisor.supervisorctl:DefaultControllerPlugin
"""


def options() -> list[str]:
    """`[section] option` for every option that the package asks a file for."""
    asked = {"[include] files"}
    original = UnhosedConfigParser.saneget

    def recording(self: Any, section: str, option: str, *args: Any, **kwargs: Any) -> Any:
        kind, named, _ = section.partition(":")
        asked.add(f"[{kind}:x] {option}" if named else f"[{kind}] {option}")
        return original(self, section, option, *args, **kwargs)

    with (
        tempfile.TemporaryDirectory() as directory,
        mock.patch.object(UnhosedConfigParser, "saneget", recording),
    ):
        path = Path(directory) / "supervisord.conf"
        path.write_text(_EVERY_SECTION)
        for of_program in (ServerOptions(), ClientOptions()):
            of_program.realize(["-c", str(path)], doc="")
    return sorted(asked)


def methods() -> list[str]:
    """Every method of XML-RPC."""
    found = []
    for space, interface in (
        ("supervisor", SupervisorNamespaceRPCInterface),
        ("system", SystemNamespaceRPCInterface),
    ):
        names = dict(inspect.getmembers(interface, inspect.isfunction))
        found += [f"{space}.{name}" for name in names if not name.startswith("_")]
    return sorted(found)


def words() -> list[str]:
    """Every command of supervisorctl."""
    names = dict(inspect.getmembers(DefaultControllerPlugin, inspect.isfunction))
    commands = sorted(name[3:] for name in names if name.startswith("do_"))
    return [f"supervisorctl {command}" for command in commands if command != "EOF"]


def events() -> list[str]:
    """Every type of event that a listener can ask for."""
    return sorted(f"event {name}" for name in vars(EventTypes) if name.isupper())


def flags() -> Iterator[str]:
    """Every flag of both programs, by its long name."""
    for program, of_program in (
        ("supervisord", ServerOptions()),
        ("supervisorctl", ClientOptions()),
    ):
        longs = sorted({name.rstrip("=") for name in of_program.long_options})
        yield from (f"{program} --{name}" for name in longs)


def faults() -> list[str]:
    """Every fault, by its name."""
    return [f"fault {name}" for name in vars(Faults) if name.isupper()]


# What is not in a table of the package.
SIGNALS = [f"signal SIG{name}" for name in ("TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "CHLD")]
PATHS = ["POST /RPC2", "GET /ok.html", "GET /logtail", "GET /mainlogtail", "GET /index.html"]
PROGRAMS = ["echo_supervisord_conf", "pidproxy", "supervisor.childutils"]


def known_names() -> Mapping[str, list[str]]:
    """All names by what they are names of."""
    return {
        "Options": options(),
        "XML-RPC methods": methods(),
        "XML-RPC faults": faults(),
        "HTTP": PATHS,
        "Commands of supervisorctl": words(),
        "Event types": events(),
        "Command lines": list(flags()),
        "Signals": SIGNALS,
        "Other programs and modules": PROGRAMS,
    }
