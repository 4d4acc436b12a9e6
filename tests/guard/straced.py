"""The system calls of a running process, all its threads, while a block lasts."""

import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from commands import environment
from daemon import PATIENCE, eventually

# "1234 write(7, "x"..., 12) = 12", and what another thread's line may cut in two.
_LINE = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(?: resumed>|\()(.*)")
_RESULT = re.compile(r"= (-?\d+)[^=]*$")
_SENDING = frozenset({"write", "writev", "pwrite64", "pwritev", "sendto", "sendmsg", "splice"})
_MAKING = frozenset({"fork", "vfork", "clone", "clone3"})


@dataclass
class SystemCalls:
    """How often each was made, and what is worth knowing of them. Complete when the block ends."""

    counts: Counter[str] = field(default_factory=Counter)
    written: int = 0  # bytes, into files, pipes and sockets
    births: list[str] = field(default_factory=list)  # the calls that made processes


@contextmanager
def traced(pid: int, folder: Path) -> Iterator[SystemCalls]:
    """Look on from outside. Strace stops it at every call, but does not change what it does."""
    found = SystemCalls()
    report = folder / f"strace-{pid}"
    words = ["strace", "-f", "-o", str(report), "-e", "signal=none", "-s", "0", "-p", str(pid)]
    errors = folder / f"strace-{pid}.err"
    with errors.open("wb") as output:
        strace = subprocess.Popen(words, stderr=output, env=environment(""))
    try:
        eventually(lambda: _is_traced(pid, strace, errors))
        yield found
    finally:
        strace.send_signal(signal.SIGINT)  # it lets go of all that it looks at, and ends
        strace.wait(PATIENCE)
    _read(report.read_text(), _threads_of(pid), found)
    report.unlink()
    errors.unlink()


def _is_traced(pid: int, strace: subprocess.Popen[bytes], errors: Path) -> bool:
    assert strace.poll() is None, errors.read_text()
    threads = list(Path(f"/proc/{pid}/task").iterdir())
    return all(
        f"\nTracerPid:\t{strace.pid}\n" in (thread / "status").read_text() for thread in threads
    )


def _threads_of(pid: int) -> set[int]:
    return {int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()}


def _read(report: str, ours: set[int], found: SystemCalls) -> None:
    """Go through what strace has written; what children do before and after exec is theirs."""
    for line in report.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue  # the end of a child
        thread, name, rest = int(match[1]), match[2], match[3]
        result = _RESULT.search(rest)
        if name in _MAKING and "CLONE_THREAD" in rest and result:
            ours.add(int(result[1]))
        if thread not in ours:
            continue
        if "resumed>" not in line.partition("(")[0]:
            found.counts[name] += 1
            if name in _MAKING and "CLONE_THREAD" not in rest:
                found.births.append(f"{name}({rest}")
        if name in _SENDING and result:
            found.written += max(0, int(result[1]))
