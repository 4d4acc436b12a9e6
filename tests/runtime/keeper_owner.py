"""A daemon in miniature, to be killed: starts programs and has a keeper hold all of theirs.

Run as `python keeper_owner.py DIRECTORY hold|kill COMMAND ...`, each COMMAND for a shell of its
own. Prints one JSON line about each, and one about a listening socket, when all is held; then it
waits. Told to (by a line on its input), it reaps the first program first.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from opsvisor.runtime.keeper import Keeper, WhenAlone
from opsvisor.runtime.logs.pipes import open_pipe
from opsvisor.runtime.pidfd import birth_of


def begin(keeper: Keeper, script: str) -> dict[str, int | None]:
    """Start a program with two pipes in a group of its own, all of it held."""
    reader, writer = open_pipe()
    stdin, to_stdin = os.pipe()
    out, into = os.fstat(reader).st_ino, os.fstat(to_stdin).st_ino
    keeper.keep_all({f"out:{out}": reader, f"in:{into}": to_stdin})
    child = subprocess.Popen(
        ["sh", "-c", script], stdin=stdin, stdout=writer, start_new_session=True
    )
    child.returncode = 0  # not for subprocess to collect
    os.close(writer)
    os.close(stdin)
    keeper.keep(f"pid:{child.pid}", os.pidfd_open(child.pid))
    return {"pid": child.pid, "born": birth_of(child.pid), "out": out, "in": into}  # type: ignore[arg-type]  # a Pid


def reap(pid: int) -> None:
    """Take the status of a program when it has ended."""
    os.waitpid(pid, 0)


async def main() -> None:
    """Be killed."""
    directory, when_alone, *scripts = sys.argv[1:]
    loop = asyncio.get_running_loop()
    keeper = Keeper(
        Path(directory),
        loop=loop,
        when_alone=WhenAlone(when_alone.encode()),
        warn=sys.exit,
    )
    keeper.open()
    programs = [begin(keeper, script) for script in scripts]
    listener = socket.create_server(("127.0.0.1", 0))
    url = "tcp://{}:{}".format(*listener.getsockname())
    keeper.keep(f"listen:{url}", listener.fileno())
    await keeper.settle()
    if sys.stdin.readline() == "reap\n":
        reap(programs[0]["pid"] or 0)
    sys.stdout.write(json.dumps({"programs": programs, "url": url, "keeper": keeper.pid}) + "\n")
    sys.stdout.flush()
    await loop.create_future()


if __name__ == "__main__":
    asyncio.run(main())
