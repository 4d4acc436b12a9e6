"""Where opsvisor looks for its configuration and its socket.

Imports nothing heavy, because opsvisorctl asks too.
"""

import os
from collections.abc import Mapping
from pathlib import Path

_SOCKET = "opsvisor.sock"


def default_paths(argv0: str) -> list[Path]:
    """Where a configuration is looked for, best first: ours, then Supervisor's own list.

    `argv0` is the path the program was started by; Supervisor looks beside its `bin` directory.
    """
    prefix = Path(argv0).parent.parent
    return [
        Path("opsvisor.toml"),
        Path("/etc/opsvisor/opsvisor.toml"),
        Path("/etc/opsvisor.toml"),
        prefix / "etc/supervisord.conf",
        prefix / "supervisord.conf",
        Path("supervisord.conf"),
        Path("etc/supervisord.conf"),
        Path("/etc/supervisord.conf"),
        Path("/etc/supervisor/supervisord.conf"),
    ]


def find(argv0: str) -> Path | None:
    """The first of the default paths that is there, whether or not it can be read."""
    return next((path for path in default_paths(argv0) if path.is_file()), None)


def runtime_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where sockets live until the next boot. It isn't created here."""
    if os.geteuid() == 0:
        return Path("/run/opsvisor")
    if own := environ.get("XDG_RUNTIME_DIR"):
        return Path(own, "opsvisor")
    # Not tempfile.gettempdir(): it writes a test file, and its imports cost opsvisorctl 5 ms.
    return Path(environ.get("TMPDIR") or "/tmp", f"opsvisor-{os.geteuid()}")  # noqa: S108 - the user is in the name


def default_socket(environ: Mapping[str, str] = os.environ) -> Path:
    """The socket of a daemon whose configuration names no server."""
    return runtime_dir(environ) / _SOCKET
