"""Programs whose output is captured, and the facts to wait for."""

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from daemon import eventually

from opsvisor.core.spec import LogSpec
from opsvisor.runtime.logs import StreamCapture
from opsvisor.runtime.logs.audience import Audience
from opsvisor.runtime.logs.stream import Stream


class MakeCapture(Protocol):
    """Builds a capture that the test need not close."""

    def __call__(
        self, path: Path | str | None = None, *, ring_size: int = 1 << 20, **rest: object
    ) -> StreamCapture:
        """A capture into `path`; `rest` is for its LogSpec."""
        ...


class Heard(Audience):
    """Keeps what a stream tells."""

    def __init__(self, *, of: StreamCapture) -> None:
        self.problems: list[str] = []
        self.texts: list[bytes] = []
        self.messages: list[bytes] = []
        self.unheard_of: list[int] = []
        of._audience = self

    def problem(self, _stream: Stream, problem: str) -> None:
        """See Audience."""
        self.problems.append(problem)

    def unheard(self, _stream: Stream, pipes: int) -> None:
        """See Audience."""
        self.unheard_of.append(pipes)

    def told(self, _stream: Stream, text: bytes) -> None:
        """See Audience."""
        self.texts.append(text)

    def message(self, _stream: Stream, text: bytes) -> None:
        """See Audience."""
        self.messages.append(text)


def open_descriptors() -> set[Path]:
    """All descriptors of this process, without the one that lists them."""
    return {path for path in tuple(Path("/proc/self/fd").iterdir()) if path.is_symlink()}


@contextmanager
def no_descriptor_left(*, but: int = 0) -> Iterator[None]:
    """Whatever is opened meanwhile fails, after so many; what is open goes on."""
    highest = max(int(path.name) for path in open_descriptors())
    gaps = []  # between those that are open, where it would be left to chance how many fit
    while (lowest_free := os.dup(0)) < highest:
        gaps.append(lowest_free)
    os.close(lowest_free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + but, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in gaps:
            os.close(descriptor)


def log_spec(path: Path | str | None, **rest: object) -> LogSpec:
    """A LogSpec without rotation, unless asked for."""
    options: dict[str, object] = {"rotate_size": 0, **rest}
    return LogSpec(path=None if path is None else str(path), **options)  # type: ignore[arg-type]  # a test's free choice


def start(capture: StreamCapture, *argv: str) -> subprocess.Popen[bytes]:
    """Start a program with its standard output captured, as the daemon would."""
    program_end = capture.open_pipe()
    try:
        return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=program_end)
    finally:
        os.close(program_end)


def start_python(capture: StreamCapture, script: str) -> subprocess.Popen[bytes]:
    """Start a Python program that gets `os` and `sys` for free."""
    return start(capture, sys.executable, "-I", "-S", "-c", f"import os, sys\n{script}")


async def wait_for_exit(process: subprocess.Popen[bytes]) -> int:
    """The exit code, while the loop goes on reading."""
    async with asyncio.timeout(60):
        code = await asyncio.to_thread(process.wait)
    assert process.stdin is not None
    process.stdin.close()
    return code


async def comes_true(claim: Callable[[], bool]) -> None:
    """Wait until this is so, while the loop goes on."""
    await asyncio.to_thread(eventually, claim)


async def output_reaches(capture: StreamCapture, size: int) -> None:
    """Wait until `size` bytes of output have been taken in."""
    async with asyncio.timeout(60):
        await capture.wait_beyond(size - 1)


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """As a disk that is full from there on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def tiny_disk(directory: Path) -> Iterator[Callable[[], None]]:
    """A place where 64 KiB can be written, and a function that makes room.

    A file system of that size where we may mount one, a file size limit elsewhere: both end a
    write half way.
    """
    if os.geteuid() == 0:
        options = ["-t", "tmpfs", "-o", "size=64k", "tmpfs"]
        subprocess.run(["mount", *options, directory], check=True)
        ballast = directory / "ballast"
        ballast.write_bytes(bytes(16384))
        try:
            yield ballast.unlink
        finally:
            subprocess.run(["umount", "--lazy", directory], check=True)
    else:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (49152, hard))
        try:
            yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
