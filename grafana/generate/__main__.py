"""Write the dashboards, or with --check tell whether they are up to date (status 1 if not)."""

import sys
from pathlib import Path

from grafana.generate.boards import BOARDS

DIRECTORY = Path(__file__).resolve().parent.parent / "dashboards"


def main(arguments: list[str], *, directory: Path = DIRECTORY) -> int:
    """The exit status."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m grafana.generate [--check]", file=sys.stderr)
        return 2
    wanted = {board.file_name: board.text() for board in BOARDS}
    if not arguments:
        directory.mkdir(exist_ok=True)
        for name, text in wanted.items():
            (directory / name).write_text(text)
    stale = [name for name, text in wanted.items() if not _holds(directory / name, text)]
    stale += [path.name for path in directory.glob("*.json") if path.name not in wanted]
    for name in stale:
        print(f"grafana/dashboards/{name} is not what the generator writes", file=sys.stderr)
    if stale:
        print("    hint: run `make docs`, and remove what it does not write", file=sys.stderr)
    return 1 if stale else 0


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
