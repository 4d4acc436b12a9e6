"""The memory: what one daemon would have the next one know, in one file of its state directory.

Theory of operation
-------------------
Whoever uses it says what is to be remembered (`put`) and what no longer is (`drop`), and then has
it written (`commit`): one line and one write(2) for all of it, which counts as a whole or not at
all. What was committed survives the end of the daemon, however that comes, because it is in the
kernel's hands. It need not survive the machine, so nothing is synced to a disk.

When the file has grown to several times what it holds, that is copied to another one, which takes
its place by rename(2). Whoever is killed in between leaves the old one whole. At once that would
hold up the daemon for 40 ms where it has 1,000 programs, and for 200 where all have a history of
tracebacks. So each commit copies a little, and is written to the old file as ever; what has
changed since it was copied is added at the end. What each key holds is not kept in memory but only
where in the file it is, since the specs of 1,000 programs take megabytes; and of a key only what
others have too. So that is noted by kinds of keys, and copied one kind after the other.

What is not in it can't be taken back: a program begun while nothing could be written would be
begun a second time. So the room for all that, and for the next file too, is allocated beforehand,
where the file system can (fallocate(2)): a disk that others have filled costs nothing then.

A file that can't be written to all the same is not given up: what is to be said is collected until
it can be. It is told once, and once more when all is well. Until then the mode of the file says
that nobody may write to it, the one thing about it that can be changed without any room: so the
next daemon knows that there is more than it tells.
"""

import contextlib
import ctypes
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from operator import itemgetter
from typing import Any, NewType

from opsvisor.core.struct import Struct, field, replace
from opsvisor.runtime.memory import records
from opsvisor.runtime.memory.directory import StateDirectory
from opsvisor.runtime.memory.identity import World, this_world
from opsvisor.runtime.memory.records import Contents, DamagedError, Key, KeyOf, OtherWorldError

NAME = "memory"
_NEW = "memory.new"
_BAD = "memory.bad-"
_BAD_KEPT = 5

LARGEST = 256 * 1024 * 1024  # bytes; what is larger was not written by us
_LENGTH_BITS = LARGEST.bit_length()
_LENGTH_MASK = (1 << _LENGTH_BITS) - 1
_STEP = 64 * 1024  # bytes that are copied with one commit; they take one to two milliseconds
_NEIGHBOURS = 80 * 1024  # bytes that are read at once of what is to be copied: those of a step
# So large it may grow: this often what it holds, and a few bytes. At twice that, nearly every byte
# that a crash loop wrote was copied once more.
_TIMES = 3
_SLACK = 64 * 1024
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE, linux/falloc.h
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_WHOLE, _BEHIND = 0o600, 0o400  # modes of a memory
_first = itemgetter(0)


def read_memory(directory: StateDirectory, world: World | None = None) -> Contents | None:
    """What an earlier daemon has left, None if there is nothing.

    Raises OtherWorldError for one that is of no use, and DamagedError for one that must not be
    believed. Reads no more than a memory can have.
    """
    try:
        file = os.open(NAME, _READ, dir_fd=directory.descriptor)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedError(f"it cannot be opened: {error.strerror}") from error
    try:
        found = os.fstat(file)
        _judge(found, directory.owners)
        world = this_world() if world is None else world
        head, newline, _ = os.pread(file, records.LONGEST_HEADER, 0).partition(b"\n")
        if not newline:
            raise DamagedError("it does not begin as a memory does")
        records.check_header(head, world)  # before all of it is read
        with open(file, "rb", closefd=False) as whole:
            contents = records.read(whole.read(LARGEST + 1), world)
        return replace(contents, is_behind=not found.st_mode & stat.S_IWUSR)
    except OSError as error:
        raise DamagedError(f"it cannot be read: {error.strerror}") from error
    finally:
        os.close(file)


def set_aside(directory: StateDirectory) -> str:
    """Put the memory out of the way under another name; gives that name, "" if it can't be."""
    numbers = sorted(_bad_numbers(directory))
    name = f"{_BAD}{numbers[-1] + 1 if numbers else 1}"
    try:
        _rename(directory, NAME, name)
    except OSError:
        return ""
    for number in numbers[: max(0, len(numbers) + 1 - _BAD_KEPT)]:
        with contextlib.suppress(OSError):
            os.unlink(f"{_BAD}{number}", dir_fd=directory.descriptor)
    return name


def forget(directory: StateDirectory) -> None:
    """Remove the memory: there is nothing that a next daemon should take back."""
    for name in (NAME, _NEW):
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=directory.descriptor)


# Where in a file an entry lies: its start and its length in one number, as there are five of them
# for each program, and a tuple of two takes 90 bytes more.
_Piece = NewType("_Piece", int)
_NOWHERE = _Piece(0)


def _piece(start: int, length: int) -> _Piece:
    assert length <= LARGEST  # or nobody would read it again
    return _Piece(start << _LENGTH_BITS | length)


def _start(piece: _Piece) -> int:
    return piece >> _LENGTH_BITS


def _length(piece: _Piece) -> int:
    return piece & _LENGTH_MASK


class _Places:
    """Where in a file what is, by key: of each kind in the order in which it was written."""

    __slots__ = ("_of_kind",)

    def __init__(self) -> None:
        self._of_kind: dict[str, dict[KeyOf, _Piece]] = {}

    def __contains__(self, key: Key) -> bool:
        return self.get(key) != _NOWHERE

    def get(self, key: Key) -> _Piece:
        """Where this is, `_NOWHERE` if it is not there."""
        kind, of = key
        places = self._of_kind.get(kind)
        return _NOWHERE if places is None else places.get(of, _NOWHERE)

    def put(self, key: Key, piece: _Piece) -> _Piece:
        """It was written last of its kind; where it was before."""
        kind, of = key
        places = self._of_kind.get(kind)
        if places is None:
            places = self._of_kind[kind] = {}
        before = places.pop(of, _NOWHERE)
        places[of] = piece
        return before

    def pop(self, key: Key) -> _Piece:
        """It is gone; where it was before."""
        kind, of = key
        places = self._of_kind.get(kind)
        return _NOWHERE if places is None else places.pop(of, _NOWHERE)

    def keys(self) -> Iterator[Key]:
        """Those that are there now, one kind after the other, also if they change meanwhile."""
        now = [(kind, list(places)) for kind, places in self._of_kind.items()]
        return (Key(kind, of) for kind, all_of in now for of in all_of)

    def pieces(self) -> Iterator[_Piece]:
        """All of them."""
        return chain.from_iterable(places.values() for places in self._of_kind.values())


class _Copy(Struct, kw_only=True):
    """A file that is to take the place of the memory.

    `keys` are still to be copied, `where` is what has been. `changed` has changed since: it is
    copied at the end, once. What was written first of its kind is copied first, as what was
    written lately is likely to change again; and what lies side by side is read together.
    """

    file: int
    size: int
    keys: Iterator[Key]
    where: _Places = field(default_factory=_Places)
    changed: dict[Key, None] = field(default_factory=dict)

    def begin(self, world: World) -> None:
        """Write the first line to it."""
        line = records.header(world)
        _write_all(self.file, line, 0)
        self.size = len(line)

    def add(self, entries: Mapping[Key, bytes], drop: Iterable[Key] = ()) -> None:
        """Write a batch to it."""
        line, starts = records.batch(entries.values(), drop)
        _write_all(self.file, line, self.size)
        for (key, one), start in zip(entries.items(), starts, strict=True):
            self.where.put(key, _piece(self.size + start, len(one)))
        self.size += len(line)


class MemoryFile:
    """The memory of this daemon, begun anew: an earlier one counts until the first commit.

    `on_problem` is told what is wrong with it, and "" when all is well again.
    """

    def __init__(
        self,
        directory: StateDirectory,
        *,
        on_problem: Callable[[str], None],
        world: World | None = None,
        slack: int = _SLACK,
    ) -> None:
        self._directory = directory
        self._on_problem = on_problem
        self._world = this_world() if world is None else world
        self._slack = slack
        self._file: int | None = None
        self._spare: int | None = None  # the next file, with room in it
        self._copy: _Copy | None = None  # the next file, while it comes to be
        self._copy_from = 0  # bytes; there is no use in trying to before
        self._size = 0  # of what is whole
        self._held = 0  # bytes of the entries that count
        self._where = _Places()
        self._put: dict[Key, bytes] = {}  # entries
        self._drop: dict[Key, None] = {}
        self._problem = ""
        self._is_behind = False

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._size

    def put(self, key: Key, value: Any) -> int:
        """Remember this, which is as `json.dumps` takes it, under the key. Not yet written.

        How many bytes it takes.
        """
        return self.put_json(key, records.in_json(value))

    def put_json(self, key: Key, text: bytes) -> int:
        """The same for what is in JSON already, in one line and in ASCII."""
        self._drop.pop(key, None)
        self._put[key] = records.entry(key, text)
        return len(text)

    def drop(self, key: Key) -> None:
        """Have nothing under this key. Not yet written."""
        self._put.pop(key, None)
        if key in self._where:
            self._drop[key] = None

    def keys(self) -> set[Key]:
        """What is remembered, written or not."""
        return {*self._where.keys(), *self._put} - self._drop.keys()

    def commit(self) -> None:
        """Write what was put and dropped since; nothing if there is nothing. Raises nothing."""
        if not self._put and not self._drop:
            return
        try:
            self._write()
        except OSError as error:
            self._tell(f"{self._directory.path / NAME}: {error.strerror}")
            self._set_behind(is_behind=True)
            return
        self._put.clear()
        self._drop.clear()
        self._set_behind(is_behind=False)
        self._tell("")
        if self._is_copy_due:
            self._copy_some()

    def _set_behind(self, *, is_behind: bool) -> None:
        """Say whether all that has happened is in the file, or in that of an earlier daemon."""
        if is_behind == self._is_behind:
            return
        self._is_behind = is_behind
        with contextlib.suppress(OSError):
            if self._file is not None:
                os.fchmod(self._file, _BEHIND if is_behind else _WHOLE)
                return
            earlier = os.open(NAME, _READ, dir_fd=self._directory.descriptor)
            try:
                os.fchmod(earlier, _BEHIND)
            finally:
                os.close(earlier)

    def close(self) -> None:
        """Let go of the file; it stays."""
        for file in (self._file, self._spare, None if self._copy is None else self._copy.file):
            if file is not None:
                os.close(file)
        if self._spare is not None or self._copy is not None:
            self._unlink_new()
        self._file = self._spare = self._copy = None

    @property
    def _tolerated(self) -> int:
        """How large it may grow before it is written anew."""
        return _TIMES * self._held + self._slack

    @property
    def _is_copy_due(self) -> bool:
        is_large = self._size > max(self._tolerated, self._copy_from)
        return self._copy is not None or is_large

    def _write(self) -> None:
        if self._file is None:
            self._begin()
            return
        try:
            self._append()
        except OSError:
            if not self._is_copy_due:
                raise
            self._copy_all()  # there may be room in the other one
            self._append()

    def _append(self) -> None:
        assert self._file is not None
        line, starts = records.batch(self._put.values(), self._drop)
        try:
            _write_all(self._file, line, self._size)
        except OSError:
            # Half a line would be taken for the end of the file, also with others behind it.
            os.ftruncate(self._file, self._size)
            raise
        where, size, held = self._where, self._size, self._held
        for key in self._drop:
            held -= _length(where.pop(key))
        for (key, one), start in zip(self._put.items(), starts, strict=True):
            length = len(one)
            held += length - _length(where.put(key, _piece(size + start, length)))
        self._held = held
        self._size += len(line)
        if self._copy is not None:
            self._copy.changed.update(dict.fromkeys([*self._put, *self._drop]))

    # -- another file ------------------------------------------------------------------------

    def _begin(self) -> None:
        """Write all there is to a new file, in place of what an earlier daemon left."""
        copy = self._new_copy(iter(()))
        try:
            copy.add(self._put)
            self._take(copy)
        except BaseException:
            self._give_up(copy)
            raise
        self._have_room()

    def _copy_all(self) -> None:
        self._copy_some()
        while self._copy is not None:
            self._copy_some()

    def _copy_some(self) -> None:
        """Take a step towards a file that holds no more than what counts, or the last one.

        If that can't be made, the present one is as good, only larger.
        """
        try:
            self._copy = copy = self._copy or self._new_copy(self._where.keys())
            if self._copy_step(copy):
                return
            self._copy_changed(copy)
            self._take(copy)
        except BaseException as error:
            if self._copy is not None:
                self._give_up(self._copy)
            self._copy = None
            self._copy_from = self._size + self._slack
            if not isinstance(error, OSError):
                raise
            return
        self._copy = None
        self._have_room()

    def _copy_step(self, copy: _Copy) -> bool:
        """Whether there may be more to copy than this."""
        places: list[tuple[_Piece, Key]] = []
        length = 0
        for key in copy.keys:
            piece = self._where.get(key)
            if piece != _NOWHERE and key not in copy.changed:  # which is for the end
                places.append((piece, key))
                length += _length(piece)
                if length >= _STEP:
                    break
        copy.add(self._entries(places))
        return length >= _STEP

    def _copy_changed(self, copy: _Copy) -> None:
        """What has changed since it was copied."""
        places = [(self._where.get(key), key) for key in copy.changed]
        there = [place for place in places if place[0] != _NOWHERE]
        gone = [key for piece, key in places if piece == _NOWHERE]
        copy.add(self._entries(there), gone)
        for key in gone:
            copy.where.pop(key)

    def _new_copy(self, keys: Iterator[Key]) -> _Copy:
        file, self._spare = self._spare, None
        copy = _Copy(file=self._make_new() if file is None else file, size=0, keys=keys)
        try:
            copy.begin(self._world)
        except BaseException:
            self._give_up(copy)
            raise
        return copy

    def _take(self, copy: _Copy) -> None:
        """Have this one be the memory from now on."""
        if self._is_behind:
            os.fchmod(copy.file, _BEHIND)
        _rename(self._directory, _NEW, NAME)
        if self._file is not None:
            os.close(self._file)
        self._file, self._size, self._where = copy.file, copy.size, copy.where
        self._held = sum(map(_length, copy.where.pieces()))

    def _give_up(self, copy: _Copy) -> None:
        os.close(copy.file)
        self._unlink_new()

    def _have_room(self) -> None:
        """For all that may be written to this file, and then for the next one."""
        assert self._file is not None
        room = self._tolerated + self._slack + self._held // 4  # which may come while it is copied
        if not _allocate(self._file, room):
            return
        with contextlib.suppress(OSError):
            self._spare = self._make_new()
            _allocate(self._spare, room)

    def _make_new(self) -> int:
        self._unlink_new()
        return os.open(_NEW, _MAKE, _WHOLE, dir_fd=self._directory.descriptor)

    def _unlink_new(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(_NEW, dir_fd=self._directory.descriptor)

    def _entries(self, places: Iterable[tuple[_Piece, Key]]) -> dict[Key, bytes]:
        """What was committed at these places. Neighbours are read with one call."""
        assert self._file is not None
        entries: dict[Key, bytes] = {}
        begin, text = 0, b""
        for piece, key in sorted(places, key=_first):
            start, length = _start(piece), _length(piece)
            if start + length > begin + len(text):
                begin, text = start, os.pread(self._file, max(length, _NEIGHBOURS), start)
            entries[key] = text[start - begin : start - begin + length]
        return entries

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._on_problem(problem)


def _judge(found: os.stat_result, owners: frozenset[int]) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise DamagedError("it is not a file")
    if found.st_uid not in owners:
        raise DamagedError(f"it belongs to another user (uid {found.st_uid})")
    # Who may only read it has told nothing wrong. The directory keeps them out, and the next file,
    # which takes its place at once, is ours alone again.
    if found.st_mode & _OTHERS_WRITE:
        mode = stat.S_IMODE(found.st_mode)
        raise DamagedError(f"others may write it (mode {mode:04o})")
    if found.st_size > LARGEST:
        raise DamagedError(f"it has {found.st_size} bytes, more than any memory")


def _bad_numbers(directory: StateDirectory) -> list[int]:
    names = os.listdir(directory.descriptor)  # noqa: PTH208 - by descriptor
    numbers = (name.removeprefix(_BAD) for name in names if name.startswith(_BAD))
    return [int(number) for number in numbers if number.isdecimal()]


def _rename(directory: StateDirectory, old: str, new: str) -> None:
    folder = directory.descriptor
    os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)


def _write_all(file: int, text: bytes, at: int) -> None:
    written = 0
    while written < len(text):
        written += os.pwrite(file, memoryview(text)[written:], at + written)


def _allocate(file: int, size: int) -> bool:
    """Have room for a file of this size without making it any longer; False if that can't be."""
    fallocate = ctypes.CDLL(None).fallocate
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return bool(fallocate(file, _KEEP_SIZE, 0, size) == 0)


__all__ = [
    "LARGEST",
    "NAME",
    "DamagedError",
    "Key",
    "MemoryFile",
    "OtherWorldError",
    "forget",
    "read_memory",
    "set_aside",
]
