"""opsvisor-pidproxy: runs a command that goes to the background, and relays signals to it.

Such a command starts the real daemon, which writes its pid to a file. Whoever supervises the
command has the wrong pid; this program stands in for the right one, as Supervisor's pidproxy does.
Unlike that one it ends as soon as the command has ended, where Supervisor's looks every 5 s.

Only the standard library is loaded, and little of it: one of these runs beside each such daemon.
"""

import os
import signal
import sys
from collections.abc import Sequence

_RELAYED = (
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGQUIT,
)
_LAST = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)  # after these there is nothing left to do
USAGE = """\
opsvisor-pidproxy -- run a command, and pass signals on to the process in its pid file.

Usage: {program} PIDFILE COMMAND [ARGUMENT...]

Relayed are TERM, HUP, INT, USR1, USR2 and QUIT; it ends after TERM, INT and QUIT, and when the
command does. Exit status: 0 then, 1 after this text, 127 if the command can't be started.
"""
_CANNOT_START = 127  # as a shell says it


def main(argv: Sequence[str] | None = None) -> int:
    """Run opsvisor-pidproxy; gives its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if len(arguments) < 2:  # noqa: PLR2004 - a pid file and a command
        sys.stdout.write(USAGE.format(program=sys.argv[0]))
        return 1
    pid_file, command = arguments[0], arguments[1:]
    # Blocked, signals wait until we ask for the next one: none is lost, and none comes in between.
    waited_for = {*_RELAYED, signal.SIGCHLD}
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would take the child from us
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
    try:
        # As pidproxy has it: no search along PATH, and the name as it was typed for argv[0].
        child = os.posix_spawn(
            os.path.abspath(command[0]),  # noqa: PTH100 - pathlib takes 5 ms to load
            command,
            os.environ,
            setsigmask=before,
            setsigdef=_RELAYED,
        )
    except OSError as error:
        sys.stderr.write(f"opsvisor-pidproxy: can't start {command[0]}: {error.strerror}\n")
        return _CANNOT_START
    while True:
        signum = signal.sigwait(waited_for)
        if signum == signal.SIGCHLD:
            if os.waitpid(child, os.WNOHANG)[0] == child:
                return 0
        elif _relay(signum, pid_file) and signum in _LAST:
            return 0


def _relay(signum: int, pid_file: str) -> bool:
    """Send this signal to the process in the file; False, and a line that says why, if not."""
    try:
        with open(pid_file, encoding="ascii") as file:  # noqa: PTH123 - as above
            pid = int(file.read())
    except (OSError, ValueError):
        _say(f"Can't read child pidfile {pid_file}!")
        return False
    if pid <= 1:  # 0 and below are whole groups of processes, 1 is init
        _say(f"Can't signal pid {pid} of {pid_file}: it is no daemon's")
        return False
    try:
        os.kill(pid, signum)
    except OSError as error:
        _say(f"Can't signal pid {pid} of {pid_file}: {error.strerror}")
    return True


def _say(text: str) -> None:
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError:  # signals are passed on all the same, and it says nothing any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    sys.exit(main())
