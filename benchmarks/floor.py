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
    pid = os.posix_spawn(words[0], words, os.environ, setsigmask=())
    pidfd = os.pidfd_open(pid)
    _pids[pidfd] = pid
    _poll.register(pidfd, select.EPOLLIN)


def _collect(pidfd: int) -> None:
    os.waitpid(_pids.pop(pidfd), 0)
    _poll.unregister(pidfd)
    os.close(pidfd)


def _stop(*_: object) -> None:
    for pid in _pids.values():
        os.kill(pid, signal.SIGTERM)
    while _pids:
        for pidfd, _event in _poll.poll():
            _collect(pidfd)
    sys.exit(0)


def main() -> None:
    count, *words = sys.argv[1:]
    # Between a spawn and its entry in the table nobody may ask for the end.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    signal.signal(signal.SIGTERM, _stop)
    for _ in range(int(count)):
        _spawn(words)
    while True:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        ended = _poll.poll()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        for pidfd, _event in ended:
            _collect(pidfd)
            _spawn(words)


main()
