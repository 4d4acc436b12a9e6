"""The keeper: holds copies of a daemon's descriptors, and gives them to the next daemon.

A program of its own, started by `client.py` as `python -I -S keep.py hold|kill DIRECTORY`, with a
connection to its owner, the daemon, as standard input and a bound socket as standard output.

Theory of operation
-------------------
While it has an owner it sleeps in one system call and files what it is sent. When the owner is
gone without a farewell, it turns to its socket, which lies in the daemon's state directory. The
next daemon that connects is sent everything that is held, and is the owner from then on. Nothing
is let go of by that: if this daemon dies as well, the one after it finds the same.

The socket listens all the time, so that a successor who is quicker than we are waits in its
backlog instead of being refused. There is only one daemon at a time: the lock in the directory
sees to that.

If nobody comes, it holds out as long as one of the processes lives whose pidfds it holds, and an
hour longer; what is left then is unread output of the dead, pipes that were ready for runs that
never came, and sockets in nobody's use. Holding nothing it ends at once.

Told to `kill`, it holds pidfds and cgroup.kill files only to end what is behind them, the moment
its owner is gone.

Messages are packets (SOCK_SEQPACKET) of lines that end where the next begins, at a NUL: a sign,
and for two of them a name.

    +NAME   hold this under that name, instead of what had it; descriptors come in order
    -NAME   let go of it
    *hold   or *kill: what to do when alone, from now on; also how a successor introduces itself
    ?       say `=` when all before this is done
    .       farewell: end
    .PID    that was all, says the keeper with this pid
    =       done
    !N      N descriptors did not fit into our table

It outlives daemons of other versions: what is said here stays understood, and what it does not
understand it ignores.

Only modules in C: `socket` alone would add a third to the memory of the whole process.
"""

import _signal  # type: ignore[import-not-found]  # of C, and not in typeshed
import _socket
import posix
import select
import sys

BATCH = 253  # descriptors in one packet, SCM_MAX_FD in net/scm.h
NAME_LIMIT = 250  # bytes; a full batch of the longest names stays below a packet
PACKET_LIMIT = 65536
HOLD, KILL = b"hold", b"kill"

_ANCILLARY = _socket.CMSG_SPACE(4 * BATCH)
_BACKLOG = 8
_IDLE_LIMIT = 3600_000  # milliseconds
_PATIENCE = 1.0  # seconds for whoever connects to say something, once it is its turn
_PATIENCE_WITH_SUCCESSOR = 5.0  # to take what it has come for
_SIGNAL_PROCESS_GROUP = 4  # linux/pidfd.h, Linux 6.9
COMM = b"opsvisor-keeper"  # all of the 15 characters that a name may have
TITLE = "opsvisord: keeper for "  # and the directory
_CLOSED_TO = ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "ALRM", "PIPE", "TSTP")

_Held = dict[bytes, int]


class _Table:
    """What is held, by name, and what becomes of it when we are alone."""

    def __init__(self, when_alone: bytes) -> None:
        self.held: _Held = {}
        self.when_alone = when_alone


def main() -> None:
    """Serve one owner after the other, until one says farewell."""
    directory = sys.argv[2]
    table = _Table(sys.argv[1].encode())
    for name in _CLOSED_TO:
        _signal.signal(getattr(_signal, f"SIG{name}"), _signal.SIG_IGN)
    owner = _socket.socket(fileno=posix.dup(0))
    listener = _socket.socket(fileno=posix.dup(1))
    listener.listen(_BACKLOG)  # it does already; now its peers see our pid instead of the daemon's
    null = posix.open("/dev/null", posix.O_RDWR)
    for standard in range(3):
        posix.dup2(null, standard)
    posix.close(null)
    _call_ourselves(f"{TITLE}{directory}")

    while not _serve(owner, table):
        owner.close()
        if table.when_alone == KILL:
            _kill(table.held)
            return
        successor = _wait_for_owner(listener, table)
        if successor is None:
            return
        owner = successor


def _call_ourselves(title: str) -> None:
    """Be found by this name in ps and top. Only a courtesy: not wherever /proc forbids it."""
    try:
        _write("/proc/self/comm", COMM)
        fields = _read("/proc/self/stat").rpartition(b")")[2].split()
        begin, end = int(fields[45]), int(fields[46])  # of the arguments: 48 and 49 in proc(5)
        # Padded to the end: where the last byte is a NUL, ps reads no further.
        line = title.encode("utf-8", "surrogateescape")[: end - begin - 1]
        _write("/proc/self/mem", line.ljust(end - begin, b"\0"), at=begin)
    except (OSError, OverflowError):
        pass


def _read(path: str) -> bytes:
    descriptor = posix.open(path, posix.O_RDONLY)
    try:
        return posix.read(descriptor, 4096)
    finally:
        posix.close(descriptor)


def _write(path: str, text: bytes, at: int = 0) -> None:
    descriptor = posix.open(path, posix.O_WRONLY)
    try:
        if at:
            posix.lseek(descriptor, at, 0)
        posix.write(descriptor, text)
    finally:
        posix.close(descriptor)


def _serve(owner: _socket.socket, table: _Table) -> bool:
    """File what this owner sends until it is gone; whether it said farewell."""
    while True:
        try:
            packet, ancillary, _, _ = owner.recvmsg(
                PACKET_LIMIT, _ANCILLARY, _socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:
            continue  # it is gone with answers of ours unread; what it sent is still to be had
        except OSError:
            return False
        if packet in (b"", b"."):
            return bool(packet)
        answer = _file(packet, received(ancillary), table)
        if answer:
            _attempt(owner.send, answer)  # if it can't be told, what it sent before it died counts


def _file(packet: bytes, descriptors: list[int], table: _Table) -> bytes:
    """Do what a packet says, and give the answer to it, if there is to be one."""
    answer = b""
    unfit = 0
    for line in packet.split(b"\0"):
        sign, name = line[:1], line[1:]
        if sign == b"+":
            _let_go(table.held, name)
            if descriptors:
                table.held[name] = descriptors.pop(0)
            else:
                unfit += 1
        elif sign == b"-":
            _let_go(table.held, name)
        elif sign == b"?":
            answer = b"="
        elif line in (b"*" + HOLD, b"*" + KILL):
            table.when_alone = name
    for descriptor in descriptors:  # that nobody gave a name
        posix.close(descriptor)
    return b"!%d" % unfit if unfit else answer


def _let_go(held: _Held, name: bytes) -> None:
    descriptor = held.pop(name, None)
    if descriptor is not None:
        posix.close(descriptor)


def received(ancillary: "list[tuple[int, int, bytes]]") -> list[int]:
    """The descriptors that came with a packet."""
    return [
        int.from_bytes(array[start : start + 4], sys.byteorder)
        for level, kind, array in ancillary
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS
        for start in range(0, len(array) - 3, 4)
    ]


def to_send(descriptors: "list[int]") -> "list[tuple[int, int, bytes]]":
    """Descriptors, in the shape in which sendmsg takes them along."""
    array = b"".join(descriptor.to_bytes(4, sys.byteorder) for descriptor in descriptors)
    return [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array)] if descriptors else []


def peer_of(connection: _socket.socket) -> tuple[int, int]:
    """Pid and uid of whoever is at the other end, as the kernel saw it connect or listen."""
    credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    return (
        int.from_bytes(credentials[:4], sys.byteorder),
        int.from_bytes(credentials[4:8], sys.byteorder),
    )


def _wait_for_owner(listener: _socket.socket, table: _Table) -> _socket.socket | None:
    """The next daemon, once it has all that is held; None if it is not worth while to wait."""
    if not table.held:
        return None
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    living = {descriptor for name, descriptor in table.held.items() if name.startswith(b"pid:")}
    for descriptor in living:
        poll.register(descriptor, select.POLLIN)
    while True:
        ready = poll.poll(None if living else _IDLE_LIMIT)
        if not ready:
            return None
        for descriptor, _ in ready:
            if descriptor != listener.fileno():
                poll.unregister(descriptor)  # or it would be ready for ever
                living.discard(descriptor)
            elif (connection := _accepted(listener)) is not None:
                if _hand_back(connection, table):
                    return connection
                connection.close()


def _accepted(listener: _socket.socket) -> _socket.socket | None:
    """Whoever connected, if it may have what we hold: our own user, and root."""
    try:
        descriptor, _ = listener._accept()  # type: ignore[attr-defined] # noqa: SLF001 - not in typeshed; what socket.accept() calls
    except OSError:  # gone again
        return None
    connection = _socket.socket(fileno=descriptor)
    if peer_of(connection)[1] in (posix.geteuid(), 0):
        return connection
    connection.close()
    return None


def _hand_back(connection: _socket.socket, table: _Table) -> bool:
    """Send all that is held; whether it was taken by somebody who knew what to do.

    One packet at a time: the kernel limits how many descriptors may be on their way, per user.
    """
    names = list(table.held)
    try:
        connection.settimeout(_PATIENCE)
        hello = connection.recv(PACKET_LIMIT)
        if hello not in (b"*" + HOLD, b"*" + KILL):
            return False
        connection.settimeout(_PATIENCE_WITH_SUCCESSOR)
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            packet = b"\0".join([b"+" + name for name in batch])
            connection.sendmsg([packet], to_send([table.held[name] for name in batch]))
            if connection.recv(PACKET_LIMIT) != b"=":
                return False
        connection.send(b".%d" % posix.getpid())
        connection.settimeout(None)
    except OSError:
        return False
    table.when_alone = hello[1:]
    return True


def _kill(held: _Held) -> None:
    """End everything behind what is held: first whole cgroups, then process groups."""
    for name in sorted(held):  # "cgroup:" comes before "pid:"
        kind, _, rest = name.partition(b":")
        if kind == b"cgroup":
            _attempt(posix.write, held[name], b"1")
        elif kind == b"pid":
            _kill_group(int(rest), held[name])


def _kill_group(leader: int, pidfd: int) -> None:
    """SIGKILL to a process and its group. Not to a group that has the number by chance."""
    by_pidfd = _attempt(_send_signal, pidfd, _signal.SIGKILL, None, _SIGNAL_PROCESS_GROUP)
    # On an older kernel by number. While there is a leader, dead or not, that is its own.
    if not by_pidfd and _attempt(_send_signal, pidfd, 0):
        _attempt(posix.killpg, leader, _signal.SIGKILL)
    _attempt(_send_signal, pidfd, _signal.SIGKILL)  # it may have moved to another group


_send_signal = _signal.pidfd_send_signal


def _attempt(call, *arguments) -> bool:  # type: ignore[no-untyped-def] # noqa: ANN001, ANN002 - typing is not loaded here
    try:
        call(*arguments)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
