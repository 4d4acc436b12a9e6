"""What the kernel says about a process."""

import os
from collections import Counter
from contextlib import suppress
from pathlib import Path


def status_of(pid: int) -> dict[str, str]:
    """The fields of /proc/PID/status, stripped."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: rest.strip() for name, _, rest in (line.partition(":") for line in lines)}


def is_alive(pid: int) -> bool:
    """Whether this process is there, and is not a zombie."""
    try:
        return not status_of(pid)["State"].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_asleep(pid: int) -> bool:
    """Whether all its threads wait for something that may be interrupted, and none is ending."""
    threads = [int(name) for name in os.listdir(f"/proc/{pid}/task")]  # noqa: PTH208 - numbers
    with suppress(FileNotFoundError, ProcessLookupError):
        return all(_state_of(pid, thread) == "S" for thread in threads)
    return False


def _state_of(pid: int, thread: int) -> str:
    line = Path(f"/proc/{pid}/task/{thread}/stat").read_text()
    return line[line.rindex(")") + 2]


def is_gone(pid: int) -> bool:
    """Whether nothing is left of this process, not even a zombie."""
    return not Path(f"/proc/{pid}").exists()


def children_of(pid: int) -> list[int]:
    """The children of a process's main thread, zombies included; not those that help a daemon."""
    return [child for child in all_children_of(pid) if not _is_helper(child)]


def all_children_of(pid: int) -> list[int]:
    """The same, with those that help a daemon."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_helper(pid: int) -> bool:
    """Whether it is a keeper or a fork server, which has that name a moment after it began."""
    if name_of(pid) in ("opsvisor-keeper", "opsvisor-forks"):
        return True
    try:
        return b"/forkserver/" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def name_of(pid: int) -> str:
    """What a process calls itself, "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip()
    except OSError:
        return ""


def group_and_session(pid: int) -> tuple[int, int]:
    """The process group and the session it is in."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[2]), int(fields[3])


def nice_of(pid: int) -> int:
    """Its nice value."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16])


def limit_of(pid: int, name: str) -> tuple[str, str]:
    """Soft and hard value of a limit, by the name it has in /proc/PID/limits."""
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith(name):
            soft, hard = line[26:].split()[:2]
            return soft, hard
    raise AssertionError(f"no limit is called {name}")


def environment_of(pid: int) -> dict[str, str]:
    """The variables it was started with."""
    pairs = Path(f"/proc/{pid}/environ").read_text().rstrip("\0").split("\0")
    return dict(pair.partition("=")[::2] for pair in pairs if pair)


def descriptors_of(pid: int) -> dict[int, str]:
    """Its open descriptors and what they are, without those that were closed while we looked."""
    found = {}
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found[int(link.name)] = str(link.readlink())
    return found


def own_pipes_of(pid: int) -> set[str]:
    """The pipes that it has both ends of: a daemon makes some for runs that are to come."""
    ends = Counter(one for one in descriptors_of(pid).values() if one.startswith("pipe:"))
    return {pipe for pipe, count in ends.items() if count > 1}


def descriptors_to_others(pid: int) -> dict[int, str]:
    """Those that are more than a way to itself."""
    own = own_pipes_of(pid)
    return {fd: what for fd, what in descriptors_of(pid).items() if what not in own}


def members_of(group: int) -> set[int]:
    """Everything that is in this process group now."""
    found = set()
    for entry in Path("/proc").iterdir():
        with suppress(ValueError, ProcessLookupError):
            if os.getpgid(int(entry.name)) == group:
                found.add(int(entry.name))
    return found
