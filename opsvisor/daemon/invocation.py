"""How this daemon was started, and so how its installed code is started again.

Theory of operation
-------------------
An upgrade executes what a user would execute who starts the daemon anew, as it is installed now:
the same words, and the same interpreter by the same path. That path leads elsewhere if a virtual
environment was replaced under it, or a link to one.

The words behind a `#!` are another matter. Started as `/srv/current/bin/opsvisord`, the kernel has
executed what the first line of that script says, `/srv/releases/1/bin/python`. To run the script
with that interpreter again would load the old release, whatever the script says now. So a script
that was started by its first line is executed as a script. What was given to an interpreter by
hand goes to that interpreter again.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from opsvisor.core.struct import Struct, replace

_LONGEST_HEAD = 1024  # of a script: what pip writes for long paths has two lines


class Invocation(Struct, frozen=True, kw_only=True):
    """What was executed, and where. `words` begins with what to execute, by an absolute path.

    `runtime` is the runtime directory of who did it: as whom we go on, we may have another.
    """

    words: tuple[str, ...]
    directory: str
    runtime: str = ""


def this_invocation(directory: str, runtime: str) -> Invocation:
    """That of this process, which was started in this directory, by who has that runtime one."""
    count = len(sys.argv) - 1  # words for us, which are the last ones
    before = sys.orig_argv[: len(sys.orig_argv) - count]
    found = invocation_of(before, sys.orig_argv[len(before) :], sys.executable, directory)
    return replace(found, runtime=runtime)


def invocation_of(
    before: Sequence[str], rest: Sequence[str], interpreter: str, directory: str
) -> Invocation:
    """The invocation of an interpreter that was started by `before` and `rest`.

    `before` is the interpreter as it was called, its flags, and what it is to run: a script, or -m
    and a module. `rest` are the words for that.
    """
    *flags, target = before[1:]
    if flags[-1:] == ["-m"] or target.startswith("-"):  # -mopsvisor
        return Invocation(words=(interpreter, *before[1:], *rest), directory=directory)
    script = str(Path(directory, target))
    if _starts(script, before[0], flags):
        return Invocation(words=(script, *rest), directory=directory)
    return Invocation(words=(interpreter, *flags, script, *rest), directory=directory)


def _starts(script: str, interpreter: str, flags: Sequence[str]) -> bool:
    """Whether the first lines of this script start this interpreter with these flags."""
    try:
        with open(script, "rb") as file:  # noqa: PTH123 - a few bytes of it
            head = os.fsdecode(file.read(_LONGEST_HEAD))
    except OSError:
        return False
    if not head.startswith("#!") or not os.access(script, os.X_OK):
        return False
    # In the second line where the path is too long for the kernel: #!/bin/sh, then exec.
    first_lines = " ".join(head.splitlines()[:2])
    words = first_lines.replace("#!", "").replace("'", " ").replace('"', " ").split()
    return any(
        word in (interpreter, Path(interpreter).name)
        and words[at + 1 : at + 1 + len(flags)] == list(flags)
        for at, word in enumerate(words)
    )
