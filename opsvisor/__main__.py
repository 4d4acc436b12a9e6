"""Where our programs begin: opsvisord, opsvisorctl, opsvisor-pidproxy and echo_opsvisord_conf.

`python -m opsvisor ctl …` is opsvisorctl; `python -m opsvisor [daemon] …` is opsvisord.
"""

import gc
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence

TYPE_CHECKING = False  # typing would be a tenth of what opsvisor-pidproxy has in memory
if TYPE_CHECKING:
    from typing import NoReturn

    from _typeshed import ReadableBuffer

_FAILED = 1


def opsvisord(arguments: Sequence[str] | None = None) -> "NoReturn":
    """Run opsvisord, by default with the arguments of this process, and end with it.

    The first process of a container has no default actions: a SIGTERM that comes before there is a
    handler would be lost, and whoever sent it would wait for nothing. Blocked, it waits for us,
    through 0.2 s of imports. Anybody else may be killed as long as nothing runs.

    At the end all is written and closed. To take the interpreter apart as well would be a large
    part of a stop: 100 ms with 1,000 programs, or 8 if it did not look for garbage.
    """
    if os.getpid() == 1:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    def run() -> int:
        from opsvisor.daemon import main as daemon  # noqa: PLC0415 - see above

        return daemon(arguments)

    status = _run("opsvisord", run)
    try:  # noqa: SIM105 - as for typing
        sys.stderr.flush()
    except (OSError, ValueError):
        pass
    os._exit(status)


def opsvisorctl(arguments: Sequence[str] | None = None) -> int:
    """Run opsvisorctl; by default with the arguments of this process.

    What it imports stays to its end. Not to look for garbage among that, neither meanwhile nor as
    the interpreter ends, takes 16 ms off the 78 of a `status`.
    """

    def run() -> int:
        gc.disable()
        from opsvisor.ctl.lean_msgspec import import_msgspec  # noqa: PLC0415 - see above

        import_msgspec()
        from opsvisor.ctl.main import main as ctl  # noqa: PLC0415

        gc.freeze()
        gc.enable()
        try:
            return ctl(arguments)
        finally:
            gc.freeze()

    return _run("opsvisorctl", run)


def pidproxy() -> int:
    """Run opsvisor-pidproxy."""
    from opsvisor import pidproxy as program  # noqa: PLC0415 - each program only its own

    return _run("opsvisor-pidproxy", program.main)


def echo_conf() -> int:
    """Run echo_opsvisord_conf."""
    from opsvisor import samples as program  # noqa: PLC0415 - each program only its own

    return _run("echo_opsvisord_conf", program.main)


def main() -> int:
    """Run the program that the first word names, with the words after it."""
    match sys.argv[1:]:
        case ["ctl", *arguments]:
            return opsvisorctl(arguments)
        case ["daemon", *arguments] | arguments:
            return opsvisord(arguments)


# -- standard streams ------------------------------------------------------------------------


def _run(name: str, program: Callable[[], int]) -> int:
    """Run a program that finds its standard streams open; gives its exit status.

    1 if what it says on standard output goes nowhere. A full disk is told on standard error; a
    reader that has seen enough (`| head`) is not.
    """
    _open_missing()
    output = _watched_stdout()
    try:
        status = program()
        sys.stdout.flush()
    except OSError as error:
        if error is not output.lost:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())  # takes what is left of it
        if not isinstance(error, BrokenPipeError):
            reason = error.strerror or error
            sys.stderr.write(f"{name}: can't write standard output: {reason}\n")
        return _FAILED
    return status


class _Stdout(io.FileIO):
    """Standard output, which remembers why it takes nothing any more."""

    def __init__(self) -> None:
        super().__init__(1, "w", closefd=False)
        self.lost: OSError | None = None

    def write(self, text: "ReadableBuffer", /) -> int:
        """Write all of it, also where somebody who shares the file has set O_NONBLOCK."""
        rest = whole = memoryview(text).cast("B")
        try:
            while rest:
                rest = rest[self._write_some(rest) :]
        except OSError as error:
            self.lost = error
            raise
        return len(whole)

    def _write_some(self, text: memoryview) -> int:
        written: int | None = super().write(text)  # as io.RawIOBase has it
        if written is None:
            from select import select  # noqa: PLC0415 - hardly ever

            select((), (self,), ())
        return written or 0


def _watched_stdout() -> _Stdout:
    """Have a standard output that can be asked whether an error was its own.

    Nothing is put off: Ctrl-C may come while ours writes, as that is Python, and a buffer does not
    know then that it was written, and has all of it written again at the end.
    """
    before, output = sys.stdout, _Stdout()
    assert isinstance(before, io.TextIOWrapper)
    sys.stdout = io.TextIOWrapper(
        output,
        encoding=before.encoding,
        errors=before.errors,
        line_buffering=before.line_buffering,
        write_through=True,
    )
    return output


def _open_missing() -> None:
    """Have /dev/null where whoever started us had closed a standard stream.

    What is opened first would get its number, and be read or written in its place.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free
            mode = "w" if number else "r"
            stream = open(number, mode, errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


if __name__ == "__main__":
    sys.exit(main())
