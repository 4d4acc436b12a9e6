"""Writes every file of alert rules, or tells which of them are out of date."""

import argparse
import sys
from pathlib import Path

from alerts.generate import reference, thresholds
from alerts.generate.files import files_of

ROOT = Path(__file__).resolve().parent.parent.parent
_DIVISOR = 20
_FAILED = 2

_USAGE = """\
Without arguments it writes the rules of alerts/thresholds.toml, and the pages that list them, to
where they belong in the repository.

Exit status: 0 when all is well, 1 if --check found a file that is out of date, 2 for thresholds
that can't be used."""


def main(arguments: list[str]) -> int:
    """Do what the command line asks for; the exit status."""
    options = _parse(arguments)
    if options.out is None and (options.thresholds or options.fast != 1):
        print("--thresholds and --fast need --out: the files of the repository", file=sys.stderr)
        print("hold the defaults", file=sys.stderr)
        return _FAILED
    try:
        numbers = thresholds.read(options.thresholds, faster=options.fast)
    except thresholds.ThresholdsError as error:
        print(error, file=sys.stderr)
        return _FAILED
    files = _in_repository(numbers) if options.out is None else _in_directory(numbers, options.out)
    stale = {path: text for path, text in files.items() if _read(path) != text}
    if options.check:
        for path in stale:
            print(f"{_short(path)} is out of date: run make docs", file=sys.stderr)
        return 1 if stale else 0
    for path, text in stale.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        print(f"wrote {_short(path)}")
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m alerts.generate",
        description=__doc__,
        epilog=_USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="write nothing, tell what differs")
    parser.add_argument(
        "--thresholds", type=Path, metavar="FILE", help="laid over alerts/thresholds.toml"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write the rules to")
    parser.add_argument(
        "--fast",
        type=_divisor,
        nargs="?",
        const=_DIVISOR,
        default=1,
        metavar="N",
        help=f"divide all windows and times by N ({_DIVISOR}), to see alerts fire soon",
    )
    return parser.parse_args(arguments)


def _divisor(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:  # noqa: PLR2004 - 60 ms of a minute
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to 1000")
    return int(text)


def _in_repository(numbers: thresholds.Thresholds) -> dict[Path, str]:
    files = {ROOT / "alerts" / name: text for name, text in files_of(numbers).items()}
    files[ROOT / "docs/reference/alerts.md"] = reference.render(numbers)
    index = ROOT / "alerts/README.md"
    before, _, rest = (_read(index) or "").partition(reference.BEGIN)
    files[index] = before + reference.render_index(numbers) + rest.partition(reference.END)[2]
    return files


def _in_directory(numbers: thresholds.Thresholds, directory: Path) -> dict[Path, str]:
    return {directory / name: text for name, text in files_of(numbers).items()}


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


def _short(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
