"""Runs a Python program, which kills itself just before one of the steps that leave traces.

Started as `python mortal.py STEP PROGRAM ARGUMENT ...`, where STEP is a file. As long as there is
none, nothing happens. From when there is, steps are counted, and the one whose number is in it is
not taken any more: SIGKILL comes first, and which step it was is added to the file. Behind the
number there may be the name of a step, if only those are to be counted, and the name of another
signal.

A step is a call that does something to the outside: makes a process, signals or reaps one, writes
to the memory, moves or removes a file, opens a pipe, tells the keeper something. Output on its way
to a log is not among them, since that comes at any time (tests/runtime/logs has its own kills).
"""

import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

STEPS: list[tuple[Any, str]] = [
    (os, "pwrite"),
    (os, "rename"),
    (os, "unlink"),
    (os, "pipe2"),
    (os, "wait4"),
    (os, "kill"),
    (os, "killpg"),
    (os, "pidfd_open"),
    (os, "posix_spawn"),
    (os, "fork"),
    (signal, "pidfd_send_signal"),
    (socket.socket, "sendmsg"),
    (subprocess, "_fork_exec"),
]


class Countdown:
    """Counts steps, once the file is there."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._last = 0  # not known yet
        self._counted = ""
        self._signal = signal.SIGKILL
        self._taken = 0

    def step(self, name: str) -> None:
        """Die, if this is the one."""
        if not self._last:
            try:
                with open(self._file, encoding="ascii") as file:  # noqa: PTH123 - light
                    number, counted, name_of_signal = file.readline().strip().split(",")
            except OSError:
                return
            self._last, self._counted = int(number), counted
            self._signal = signal.Signals[name_of_signal]
        if self._counted not in ("", name):
            return
        self._taken += 1
        if self._taken == self._last:
            try:
                told = os.open(self._file, os.O_WRONLY | os.O_APPEND)  # not made anew
            except FileNotFoundError:
                return  # disarmed meanwhile
            os.write(told, f"before {name}\n".encode())
            os.close(told)
            os.kill_unpatched(os.getpid(), self._signal)  # type: ignore[attr-defined]  # ours


def counted(call: Callable[..., Any], name: str, countdown: Countdown) -> Callable[..., Any]:
    """The call, as a step."""

    def step(*arguments: Any, **options: Any) -> Any:
        countdown.step(name)
        return call(*arguments, **options)

    return step


def main() -> None:
    """Be that program from here on."""
    countdown = Countdown(sys.argv[1])
    os.kill_unpatched = os.kill  # type: ignore[attr-defined]  # ours
    for module, name in STEPS:
        setattr(module, name, counted(getattr(module, name), name, countdown))
    del sys.argv[:2]
    sys.orig_argv = [sys.executable, *sys.argv]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
