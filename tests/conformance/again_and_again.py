"""Runs a command-line program many times, importing it only once: each run is a fork.

Started as `python again_and_again.py MODULE FUNCTION PROGRAM`. Takes runs as lines of JSON
{"words": [...], "stdin": "..."} and answers each with a line {"status": N, "out": "...",
"err": "..."}. What the program sees of argv, its streams and its exit is as after exec.
"""

import importlib
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import IO, NoReturn

_LIMIT = 60  # seconds; only what should end by itself and doesn't takes as long


def main() -> None:
    """Answer until there are no more lines."""
    module, function, program = sys.argv[1:]
    run = getattr(importlib.import_module(module), function)
    for line in sys.stdin:
        wanted = json.loads(line)
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            given.write(wanted["stdin"].encode())
            given.seek(0)
            pid = os.fork()
            if pid == 0:
                _become(run, [program, *wanted["words"]], (given, out, err))
            _, status = os.waitpid(pid, 0)
            answer = {
                "status": os.waitstatus_to_exitcode(status),
                "out": _text(out),
                "err": _text(err),
            }
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


def _become(
    run: Callable[[], int | None], argv: list[str], streams: tuple[IO[bytes], IO[bytes], IO[bytes]]
) -> NoReturn:
    for fd, stream in enumerate(streams):
        os.dup2(stream.fileno(), fd)
    sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115 - a descriptor, to the end
    sys.stdout = open(1, "w", encoding="utf-8")  # noqa: SIM115 - as above
    sys.stderr = open(2, "w", encoding="utf-8")  # noqa: SIM115 - as above
    sys.argv = argv
    signal.alarm(_LIMIT)
    status = 0
    try:
        sys.exit(run())  # as the script that an entry point becomes
    except SystemExit as end:
        status = _status_of(end)
    except BaseException:  # noqa: BLE001 - what an interpreter does at the end
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _status_of(end: SystemExit) -> int:
    match end.code:
        case None:
            return 0
        case int(code):
            return code & 0xFF
        case text:
            sys.stderr.write(f"{text}\n")
            return 1


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode()


if __name__ == "__main__":
    main()
