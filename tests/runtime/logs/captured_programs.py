"""Programs whose output is captured, and the facts to wait for."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from opsvisor.core.spec import LogSpec
from opsvisor.runtime.logs import StreamCapture


class MakeCapture(Protocol):
    """Builds a capture that the test need not close."""

    def __call__(
        self, path: Path | str | None = None, *, ring_size: int = 1 << 20, **rest: object
    ) -> StreamCapture:
        """A capture into `path`; `rest` is for its LogSpec."""
        ...


def open_descriptors() -> set[Path]:
    """All descriptors of this process, without the one that lists them."""
    return {path for path in tuple(Path("/proc/self/fd").iterdir()) if path.is_symlink()}


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
    async with asyncio.timeout(10):
        code = await asyncio.to_thread(process.wait)
    assert process.stdin is not None
    process.stdin.close()
    return code


async def output_reaches(capture: StreamCapture, size: int) -> None:
    """Wait until `size` bytes of output have been taken in."""
    async with asyncio.timeout(10):
        await capture.wait_beyond(size - 1)
