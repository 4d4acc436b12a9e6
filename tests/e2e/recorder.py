"""An event listener written with Supervisor's own library: notes what it is told, and answers.

Started as `python recorder.py FILE [ANSWER ...]`. Each event becomes a line of JSON in FILE and is
answered by the ANSWER of its number: fail, long, die, hang or junk; ok is what follows the last.
Events are counted by the lines of FILE, so that a run goes on where an earlier one ended.
"""

import json
import os
import signal
import sys
from pathlib import Path

from supervisor import childutils  # type: ignore[import-untyped]  # comes without annotations


def main() -> None:
    """Answer for ever."""
    file, answers = Path(sys.argv[1]), sys.argv[2:]
    number = len(file.read_text().splitlines()) if file.exists() else 0
    listener = childutils.listener
    while True:
        headers, payload = listener.wait(sys.stdin, sys.stdout)
        with file.open("a", encoding="utf-8") as book:
            book.write(json.dumps([headers, payload]) + "\n")
        match answers[number] if number < len(answers) else "ok":
            case "fail":
                listener.fail(sys.stdout)
            case "long":
                listener.send("OK\nOK", sys.stdout)
            case "die":
                os._exit(1)
            case "hang":
                signal.pause()
            case "junk":
                sys.stdout.write("what was that?\n")
                sys.stdout.flush()
                signal.pause()
            case _:
                listener.ok(sys.stdout)
        number += 1


main()
