"""Where the output of a process goes that shall have a log, no matter where: Supervisor's AUTO."""

import hashlib

from opsvisor.core.spec import ProcessId


def auto_path(
    process_id: ProcessId, stream: str, *, folder: str, identifier: str, config_path: str
) -> str:
    """A path in the shape of Supervisor's, whose eight random characters aren't random here.

    The same configuration has to give the same path, or every reading of it would be a change.
    """
    key = (identifier, config_path, process_id.group, process_id.name, stream)
    letters = hashlib.sha256("\0".join(key).encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{folder}/{process_id.name}-{stream}---{identifier}-{letters}.log"
