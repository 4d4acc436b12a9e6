"""Where the output of a process goes that shall have a log, no matter where: Supervisor's AUTO."""

import hashlib
import tempfile

from opsvisor.core.spec import ProcessId


def usual_folder() -> str:
    """Where such logs are unless somebody says otherwise: the system's temporary directory.

    In a container with a read-only root there may be none that can be written to. That matters to
    a log that is to be there, which says so, and not to whoever only asks for its name.
    """
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return "/tmp"  # noqa: S108 - a name; what is done with it fails


def auto_path(
    process_id: ProcessId, stream: str, *, folder: str, identifier: str, config_path: str
) -> str:
    """A path in the shape of Supervisor's, whose eight random characters aren't random here.

    The same configuration has to give the same path, or every reading of it would be a change.
    """
    key = (identifier, config_path, process_id.group, process_id.name, stream)
    letters = hashlib.sha256("\0".join(key).encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{folder}/{process_id.name}-{stream}---{identifier}-{letters}.log"
