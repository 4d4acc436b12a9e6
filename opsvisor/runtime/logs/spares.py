"""Pipes that are made before there is need of them.

Whoever restarts a program is waited for, and a new pipe takes five system calls and a message to
the keeper: an eighth of what a restart takes us, where nothing of all that was done lately. So
some are kept ready, as many as two runs need, and others are made in their place a moment later:
programs that depend on each other die one soon after the other. Whoever is restarted in a crowd
makes its own: there is nobody to do it beforehand.

Where descriptors are scarce those that are ready stay where they are, and none is made: whoever
starts a process must see by the numbers that it gets how many are left. But for who is about to
give as many back, since the process before it has ended (`take_ready`).
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from opsvisor.runtime.logs.pipes import PIPE_SIZE, fair_size, open_pipe
from opsvisor.runtime.logs.resting import are_scarce

_KEPT = 4
_MOMENT = 0.01  # seconds until others are made: whatever is under way is over by then


class NewPipe(NamedTuple):
    """A pipe that nobody has written to: our end, the program's, and by what others know it.

    `is_told`: they do already, as it was ready.
    """

    reader: int
    program_end: int
    inode: int
    is_told: bool = False

    @classmethod
    def make(cls, size: int = PIPE_SIZE) -> "NewPipe":
        """Have one made. OSError when descriptors run out; nothing is left open then."""
        reader, program_end = open_pipe(size)
        try:
            return cls(reader, program_end, os.fstat(reader).st_ino)
        except BaseException:
            os.close(reader)
            os.close(program_end)
            raise

    def close(self) -> None:
        """Have no more need of it."""
        os.close(self.reader)
        os.close(self.program_end)


class SparePipes:
    """Those that are ready.

    `tell` is told of our end of each: by its inode, that it was opened here, or is about to be
    closed unused. `told` is called when that is over for now.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        tell: Callable[[int, int, bool], None],
        told: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._tell = tell
        self._told = told
        self._ready: list[NewPipe] = []
        self._size = PIPE_SIZE
        self._timer: asyncio.TimerHandle | None = None

    def be_for(self, count: int) -> None:
        """From now on programs have so many pipes, of a size that all can have."""
        self._size = fair_size(count + _KEPT)

    @property
    def ready(self) -> Sequence[NewPipe]:
        """Those that are."""
        return self._ready

    def take(self) -> NewPipe:
        """One of them, or one that nobody was told of. OSError when descriptors run out."""
        self.make_some_soon()
        if self._ready and _are_there_others(self._ready[-1]):
            return self._ready.pop()
        return NewPipe.make(self._size)

    def take_ready(self, count: int) -> list[NewPipe]:
        """So many of them, or none at all: for who is about to close as many others.

        Whoever takes them has others made soon.
        """
        if len(self._ready) < count:
            return []
        taken = self._ready[-count:]
        del self._ready[-count:]
        return taken

    def give_back(self, pipes: Iterable[NewPipe]) -> None:
        """Have some ready again that were taken, and that no process was given."""
        self._ready.extend(pipes)

    def make_some_soon(self) -> None:
        """Have as many as are needed again in a moment."""
        if self._timer is None:
            self._timer = self._loop.call_later(_MOMENT, self._make_some)

    def let_go(self, pipes: Iterable[NewPipe]) -> None:
        """Close some that were taken and told nobody else of."""
        for pipe in pipes:
            self._close(pipe)

    def close(self) -> None:
        """Close those that are ready."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.let_go(self._ready)
        self._ready.clear()

    def _make_some(self) -> None:
        self._timer = None
        while len(self._ready) < _KEPT:
            try:
                pipe = NewPipe.make(self._size)
            except OSError:  # whoever needs one is told
                break
            if are_scarce(pipe.program_end):
                pipe.close()
                break
            self._tell(pipe.inode, pipe.reader, True)
            self._ready.append(pipe._replace(is_told=True))
        self._told()

    def _close(self, pipe: NewPipe) -> None:
        self._tell(pipe.inode, pipe.reader, False)
        pipe.close()


def _are_there_others(pipe: NewPipe) -> bool:
    """Whether there are enough descriptors now, whenever this pipe got its own."""
    try:
        lowest_free = os.dup(pipe.reader)
    except OSError:
        return False
    os.close(lowest_free)
    return not are_scarce(lowest_free)
