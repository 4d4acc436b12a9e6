"""The least that a supervisor in Python can do: spawn, wait for pidfds, spawn again.

It reads no configuration, keeps no log, tells nobody. Started as a script, so that it imports
nothing it doesn't need: floor.py COUNT PROGRAM [ARGUMENT...].
"""

import os
import select
import signal
import sys

_poll = select.epoll()
_pids: dict[int, int] = {}  # by pidfd


def _spawn(words: list[str]) -> None:
    pid = os.posix_spawn(words[0], words, os.environ)
    pidfd = os.pidfd_open(pid)
    _pids[pidfd] = pid
    _poll.register(pidfd, select.EPOLLIN)


def _collect(pidfd: int) -> None:
    os.waitpid(_pids.pop(pidfd), 0)
    _poll.unregister(pidfd)
    os.close(pidfd)


def _stop() -> None:
    for pid in _pids.values():
        os.kill(pid, signal.SIGTERM)
    while _pids:
        for pidfd, _event in _poll.poll():
            _collect(pidfd)


def main() -> None:
    count, *words = sys.argv[1:]
    # A signal between the interpreter's look for one and epoll_wait would not end the wait.
    asked, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGTERM, lambda *_: None)
    _poll.register(asked, select.EPOLLIN)
    for _ in range(int(count)):
        _spawn(words)
    while True:
        for fd, _event in _poll.poll():
            if fd == asked:
                _poll.unregister(asked)
                _stop()
                return
            _collect(fd)
            _spawn(words)


main()
