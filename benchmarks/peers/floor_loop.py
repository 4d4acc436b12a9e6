"""The least that a supervisor in Python can do: spawn, wait for pidfds, spawn again.

It reads no configuration, keeps no log, tells nobody. Started as a script, so that it imports
nothing it doesn't need: floor_loop.py [COUNT PROGRAM [ARGUMENT...] --]...
"""

import os
import select
import signal
import sys

_poll = select.epoll()
_running: dict[int, tuple[int, list[str]]] = {}  # by pidfd: the pid, and what it runs


def _spawn(words: list[str]) -> None:
    pid = os.posix_spawn(words[0], words, os.environ)
    pidfd = os.pidfd_open(pid)
    _running[pidfd] = pid, words
    _poll.register(pidfd, select.EPOLLIN)


def _collect(pidfd: int) -> list[str]:
    pid, words = _running.pop(pidfd)
    os.waitpid(pid, 0)
    _poll.unregister(pidfd)
    os.close(pidfd)
    return words


def _stop() -> None:
    for pid, _words in _running.values():
        os.kill(pid, signal.SIGTERM)
    while _running:
        for pidfd, _event in _poll.poll():
            _collect(pidfd)


def main() -> None:
    left = sys.argv[1:]
    # A signal between the interpreter's look for one and epoll_wait would not end the wait.
    asked, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGTERM, lambda *_: None)
    _poll.register(asked, select.EPOLLIN)
    while left:
        end = left.index("--")
        for _ in range(int(left[0])):
            _spawn(left[1:end])
        del left[: end + 1]
    while True:
        for fd, _event in _poll.poll():
            if fd == asked:
                _poll.unregister(asked)
                _stop()
                return
            _spawn(_collect(fd))


main()
