"""Runs a command as the first process of namespaces of its own, as a container's runtime does.

Started as `python -I -S contained.py [--read-only] [--second] [--writable DIR] COMMAND ...`, by
root; with `--second` it is an ordinary process with mounts of its own. Signals are passed on to
the command; its exit status becomes ours, 128 + n if it died of signal n. What is mounted is seen
by the command alone, and all that runs in there ends with us.
"""

import ctypes
import os
import signal
import sys

_CLONE_NEWNS, _CLONE_NEWPID = 0x00020000, 0x20000000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_PASSED_ON = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}


def main() -> None:
    """Have a child in new namespaces, and stand for it."""
    options, command = [], sys.argv[1:]
    while command[0].startswith("--"):
        option = command.pop(0)
        options.append((option, command.pop(0) if option == "--writable" else ""))
    is_first = ("--second", "") not in options
    check(_LIBC.unshare(_CLONE_NEWNS | (_CLONE_NEWPID if is_first else 0)), "unshare")
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    child = os.fork()
    if child == 0:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        rearrange(options, is_first=is_first)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvp(command[0], command)
    while True:
        got = signal.sigwait(_PASSED_ON | {signal.SIGCHLD})
        if got != signal.SIGCHLD:
            os.kill(child, got)
            continue
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            sys.exit(code if code >= 0 else 128 - code)


def rearrange(options: list[tuple[str, str]], *, is_first: bool) -> None:
    """Mount what the options ask for; the whole tree becomes read-only last."""
    mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    if is_first:
        mount("proc", "/proc", "proc", 0)
    for option, folder in options:
        if option == "--writable":
            mount(folder, folder, "", _MS_BIND)
    if ("--read-only", "") in options:
        mount("none", "/", "", _MS_REMOUNT | _MS_BIND | _MS_RDONLY)


def mount(source: str, target: str, kind: str, flags: int) -> None:
    """Mount it, or end with what is wrong."""
    words = (source.encode(), target.encode(), kind.encode())
    check(_LIBC.mount(*words, ctypes.c_ulong(flags), None), f"mount {target}")


def check(result: int, what: str) -> None:
    """End if the system has refused."""
    if result != 0:
        sys.exit(f"cannot {what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main()
