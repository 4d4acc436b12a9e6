r"""The format of a memory: lines that say what is remembered from here on, each with a checksum.

    60d1a9f3 {"format": 3, "boot": "2f6e…", "pid_namespace": 4026531836}
    8c0b5d1e {"put": {"life/web": {…}, "spent/web": {…}}, "drop": ["spec/old"]}

The first line is the header. Every other one is a batch: all of it counts, or nothing. The last
writer of a key wins. Before the blank is the CRC-32 of what is behind it, in hex.

A daemon that is killed while it writes leaves the beginning of a line, without its end: nothing of
that batch has been acted upon, so it is dropped. Anything else that is not as it should be was not
our doing, and nothing of such a file can be believed.
"""

import json
import re
import zlib
from collections.abc import Collection, Iterable, Mapping
from itertools import accumulate
from json.encoder import encode_basestring_ascii as _in_json
from typing import Any, NamedTuple

import msgspec

from opsvisor.core.spec import ProcessId
from opsvisor.core.struct import Struct
from opsvisor.runtime.memory.identity import World

# 2 has other keys (daemon/remembering.py): who knows 1 alone would find no process in it. 3 has
# arrays of what was used, where 2 has objects.
FORMAT = 3
_KNOWN = (1, 2, FORMAT)
LONGEST_HEADER = 1024  # bytes; what is longer without a newline is none

_ENCODER = msgspec.json.Encoder()
_ENCODER_OF_ALL = json.JSONEncoder(separators=(",", ":"))  # json.dumps would make one each time
_CHECKSUM = re.compile(rb"[0-9a-f]{8} ")
_AFTER_CHECKSUM = 9
_BEFORE_ENTRIES = _AFTER_CHECKSUM + len('{"put":{')


class DamagedError(ValueError):
    """This is no memory, or not one to be believed; says what is wrong with it."""


class OtherWorldError(ValueError):
    """The memory is of another boot, or another pid namespace: its pids mean nothing here."""


class Contents(Struct, frozen=True, kw_only=True):
    """What a memory holds. `is_torn`: the last batch was not finished.

    `is_behind`: more has happened, which could not be written.
    """

    values: Mapping[str, Any]
    is_torn: bool = False
    is_behind: bool = False


KeyOf = ProcessId | tuple[ProcessId, int] | None  # None: of the daemon


class Key(NamedTuple):
    """Under which something is remembered: of what `kind`, of whom, and which of several.

    Only the parts are kept, which others have too: the text of a key takes 70 bytes.
    """

    kind: str
    of: KeyOf = None

    @property
    def text(self) -> str:
        """As it is written: the kind, the process in JSON and the number, with slashes between."""
        kind, of = self
        if of is None:
            return kind
        if isinstance(of, tuple):
            return f"{kind}/{id_in_json(of[0])}/{of[1]}"
        return f"{kind}/{id_in_json(of)}"


def in_json(value: Any) -> bytes:
    """In one line, and in ASCII: what has no bytes in UTF-8 can be in a file name."""
    return simple_in_json(value) or _ENCODER_OF_ALL.encode(value).encode("ascii")


def simple_in_json(value: Any) -> bytes | None:
    """The same by msgspec, which also takes structs; None for what it can't write in ASCII."""
    try:
        text = _ENCODER.encode(value)
    except (UnicodeEncodeError, OverflowError):  # no UTF-8 has it, or no 64 bits
        return None
    return text if text.isascii() else None


def id_in_json(process_id: ProcessId) -> str:
    """By its group and name, which may hold any sign."""
    # Made anew each time, for 0.1 us: to keep all of them takes 800 bytes a process.
    return f"[{_in_json(process_id.group)},{_in_json(process_id.name)}]"


def header(world: World) -> bytes:
    """The first line."""
    return _line(
        in_json({"format": FORMAT, "boot": world.boot, "pid_namespace": world.pid_namespace})
    )


def entry(key: Key, text: bytes) -> bytes:
    """A value, given in JSON, with its key: as it is in a batch, from file to file."""
    return b"%b:%b" % (in_json(key.text), text)


def batch(entries: Collection[bytes], drop: Iterable[Key] = ()) -> tuple[bytes, list[int]]:
    """The line that puts these entries, and drops these keys; where each entry begins."""
    lengths = [_BEFORE_ENTRIES, *(len(one) + 1 for one in entries)]  # and a comma
    dropped = in_json([key.text for key in drop])
    said = b'{"put":{%b},"drop":%b}' % (b",".join(entries), dropped)
    return _line(said), list(accumulate(lengths[:-1]))


def check_header(line: bytes, world: World) -> None:
    """Raise DamagedError or OtherWorldError unless this is the first line of a memory of ours."""
    found = _checked(line, "the header")
    if not isinstance(found, dict) or not isinstance(found.get("format"), int):
        raise DamagedError("it does not begin as a memory does")
    if found["format"] not in _KNOWN:
        raise DamagedError(
            f"it is in format {found['format']}, which this version does not know (it knows"
            f" 1 to {FORMAT}): another version of opsvisord wrote it"
        )
    if found.get("boot") != world.boot:
        raise OtherWorldError("it is from before the machine was started")
    if found.get("pid_namespace") != world.pid_namespace:
        raise OtherWorldError("it is of another pid namespace, as another container has")


def read(text: bytes, world: World) -> Contents:
    """All that is remembered. Raises DamagedError or OtherWorldError."""
    head, newline, rest = text.partition(b"\n")
    if not newline:
        raise DamagedError("its first line has no end")
    check_header(head, world)
    values: dict[str, Any] = {}
    *lines, torn = rest.split(b"\n")
    for number, line in enumerate(lines, 2):
        found = _checked(line, f"line {number}")
        put, drop = _sides(found, number)
        for key in drop:
            values.pop(key, None)
        values.update(put)
    return Contents(values=values, is_torn=bool(torn))


def _sides(found: Any, number: int) -> tuple[dict[str, Any], list[str]]:
    if isinstance(found, dict):
        put, drop = found.get("put"), found.get("drop")
        if isinstance(put, dict) and isinstance(drop, list):
            return put, [key for key in drop if isinstance(key, str)]
    raise DamagedError(f"line {number} says nothing that could be remembered")


def _line(said: bytes) -> bytes:
    return b"%08x %b\n" % (zlib.crc32(said), said)


def _checked(line: bytes, what: str) -> Any:
    if not _CHECKSUM.match(line):
        raise DamagedError(f"{what} has no checksum")
    said = line[_AFTER_CHECKSUM:]
    if int(line[:8], 16) != zlib.crc32(said):
        raise DamagedError(f"{what} does not match its checksum")
    try:
        return json.loads(said)
    except (ValueError, RecursionError):
        raise DamagedError(f"{what} is not JSON") from None
