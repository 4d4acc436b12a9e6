"""From which revision of its source this opsvisor was built."""

import re
from pathlib import Path

# Written by build_revision.py into what is built. A checkout has none: it may hold anything.
_FILE = Path(__file__).parent.parent / "revision"
_REVISION = re.compile(r"[0-9a-f]{7,64}(-dirty)?")


def read_revision(file: Path = _FILE) -> str:
    """The commit, with `-dirty` where files had been changed; empty if it is not known."""
    try:
        text = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return text if _REVISION.fullmatch(text) else ""
