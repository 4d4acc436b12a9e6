"""Reading and clearing logs."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from opsvisor.compat.supervisor.rpc.faults import Fault, RpcFault
from opsvisor.compat.supervisor.rpc.methods import read_number
from opsvisor.compat.supervisor.rpc.naming import by_priority, find_one
from opsvisor.compat.supervisor.rpc.shapes import result
from opsvisor.compat.supervisor.rpc.sources import NoSourceError, Source, Sources
from opsvisor.compat.supervisor.rpc.xml import Value
from opsvisor.control.control import Control
from opsvisor.control.logs import LogPiece, NoLogError, read_range
from opsvisor.core.spec import ProcessId
from opsvisor.runtime.logs.stream import Stream

# One answer carries at most this much of a log. Supervisor has no such limit, and blocks for it.
LONGEST_TEXT = 8 * 1024 * 1024


class Logs:
    """The methods about logs. Bytes that are no UTF-8 are replaced, where Supervisor fails."""

    def __init__(self, control: Control, sources: Sources) -> None:
        self._control = control
        self._sources = sources

    async def read_main(self, offset: Any, length: Any) -> Value:
        """Read length bytes of the daemon's own log from offset on.

        A negative offset, with a length of 0, reads as much from the end.
        """
        try:
            source = await self._sources.of_daemon()
        except NoSourceError as error:
            raise RpcFault(Fault.NO_FILE, error.path) from None
        return await _read(source, read_number(offset), read_number(length))

    async def clear_main(self) -> Value:
        """Empty the daemon's own log."""
        try:
            source = await self._sources.of_daemon()
        except NoSourceError:
            raise RpcFault(Fault.NO_FILE) from None
        source.capture.clear()
        if source.capture.problem:
            raise RpcFault(Fault.FAILED)
        return True

    async def read_stdout(self, name: Any, offset: Any, length: Any) -> Value:
        """Read length bytes of a process's standard output from offset on.

        A negative offset, with a length of 0, reads as much from the end.
        """
        return await self._read_process(name, offset, length, Stream.STDOUT)

    async def read_stderr(self, name: Any, offset: Any, length: Any) -> Value:
        """Read length bytes of a process's standard error from offset on.

        A negative offset, with a length of 0, reads as much from the end.
        """
        return await self._read_process(name, offset, length, Stream.STDERR)

    async def _read_process(self, name: Any, offset: Any, length: Any, stream: Stream) -> Value:
        view = find_one(self._control, name)
        try:
            source = await self._sources.of_process(view, stream)
        except NoSourceError as error:
            raise RpcFault(Fault.NO_FILE, error.path) from None
        return await _read(source, read_number(offset), read_number(length))

    async def tail_stdout(self, name: Any, offset: Any, length: Any) -> Value:
        """The last length bytes of a process's standard output, unless offset has seen them.

        The answer is [text, size of the log, overflow]. Overflow says that there is more between
        offset and what is given.
        """
        return await self._tail(name, offset, length, Stream.STDOUT)

    async def tail_stderr(self, name: Any, offset: Any, length: Any) -> Value:
        """The last length bytes of a process's standard error, unless offset has seen them.

        The answer is [text, size of the log, overflow]. Overflow says that there is more between
        offset and what is given.
        """
        return await self._tail(name, offset, length, Stream.STDERR)

    async def _tail(self, name: Any, offset: Any, length: Any, stream: Stream) -> Value:
        view = find_one(self._control, name)
        try:
            source = await self._sources.of_process(view, stream)
        except NoSourceError:
            return ["", 0, False]
        begin, count = read_number(offset), read_number(length)
        wanted = min(max(1, count), LONGEST_TEXT)
        try:
            piece = await _piece(source, -wanted, 0)
        except NoLogError:
            return ["", begin, False]
        has_news = begin < piece.size and count > 0
        text = await _decoded(piece) if has_news else ""
        return [text, piece.size, piece.size > begin + count]

    async def clear(self, name: Any) -> Value:
        """Empty both logs of a process, whether it runs or not."""
        view = find_one(self._control, name)
        if not self._clear(view.id):
            raise RpcFault(Fault.FAILED, name)
        return True

    async def clear_all(self) -> Value:
        """Empty the logs of every process."""
        return [
            result(view.id, None if self._clear(view.id) else RpcFault(Fault.FAILED, view.id))
            for view in by_priority(self._control.engine.views())
        ]

    def _clear(self, process_id: ProcessId) -> bool:
        streams = self._control.engine.streams(process_id)
        for capture in streams.captures.values():
            capture.clear()
        return not streams.problem


async def _read(source: Source, offset: int, length: int) -> str:
    if length < 0 or (offset < 0 and length):
        raise RpcFault(Fault.BAD_ARGUMENTS)
    try:
        return await _decoded(await _piece(source, offset, length))
    except NoLogError:
        raise RpcFault(Fault.FAILED) from None


async def _piece(source: Source, offset: int, length: int) -> LogPiece:
    wanted = max(offset, -LONGEST_TEXT)  # of a longer end, the last of it
    return await read_range(
        source.capture, source.path, offset=wanted, length=length, limit=LONGEST_TEXT
    )


async def _decoded(piece: LogPiece) -> str:
    """As text. In a thread, which is what a megabyte of it needs."""
    decode: Callable[[], str] = partial(piece.text.decode, "utf-8", "replace")
    return await asyncio.to_thread(decode)
