"""The stream of several logs as a client reads it: each byte once, whatever is sent twice.

After an interruption the daemon goes on from a time, and sends again what was written just before
it. Offsets tell what that is.
"""

from collections.abc import Iterator

import msgspec

from opsvisor.client.sse import ServerEvent
from opsvisor.wire import LogLost, LogNames, LogRemark, LogSaid

LogEvent = LogNames | LogSaid | LogLost | LogRemark

_KINDS: dict[str, type[LogEvent]] = {
    "names": LogNames,
    "log": LogSaid,
    "gap": LogLost,
    "remark": LogRemark,
}


def once_each(events: Iterator[ServerEvent]) -> Iterator[LogEvent]:
    """The events decoded, without what was there before. Kinds that are not known are left out."""
    ends: dict[tuple[str, str], int] = {}
    for event in events:
        kind = _KINDS.get(event.event)
        if kind is None:
            continue
        told = msgspec.json.decode(event.text, type=kind)
        match told:
            case LogSaid():
                yield from _new_part(told, ends)
            case LogLost():
                key = told.name, told.stream
                if key in ends:
                    ends[key] += told.lost_bytes
                yield told
            case _:
                yield told


def _new_part(said: LogSaid, ends: dict[tuple[str, str], int]) -> Iterator[LogEvent]:
    key = said.name, said.stream
    end = said.begin if said.anew else ends.get(key, said.begin)
    if said.begin > end:  # the daemon that goes on never had these bytes
        yield LogLost(name=said.name, stream=said.stream, lost_bytes=said.begin - end)
    ends[key] = max(end, said.offset)
    if said.begin >= end:
        yield said
    elif said.offset > end:
        fresh = said.text.encode()[end - said.begin :].decode("utf-8", "replace")
        yield msgspec.structs.replace(said, text=fresh, begin=end)
