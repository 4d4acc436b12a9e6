"""What a life of the daemon stands on: its state directory, opened before all else."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from opsvisor.config.settings import Loaded
from opsvisor.core.struct import Struct
from opsvisor.daemon.hand_over import HandOver
from opsvisor.daemon.host import HostError, is_first_process
from opsvisor.runtime.memory.directory import (
    Place,
    StateDirectory,
    StateDirectoryError,
    open_state_directory,
)
from opsvisor.runtime.memory.identity import this_world

_OF_SERVICE = "RUNTIME_DIRECTORY"  # as systemd calls what it made for the service


class Footing(Struct, frozen=True):
    """What a life of the daemon stands on. Without a directory, `problem` says why there is none.

    `is_trouble`: somebody should know. `seed` is what our programs are marked by: the same in all
    daemons with this directory, so that programs are known by it even when nothing else is.
    """

    directory: StateDirectory | None
    problem: str = ""
    is_trouble: bool = False
    seed: int = 0

    def release(self) -> None:
        """Leave it: nothing is to be remembered."""
        if self.directory is not None:
            self.directory.release(is_over=True)


def footing_for(loaded: Loaded, before: Footing | None, runtime: Path) -> Footing:
    """Open the state directory of this configuration, while we may still be root.

    By itself it is in the directory `runtime` of who started the daemon, whoever that is by now.
    `before` is kept if it is the same one, and left if another could be opened. HostError if a
    directory that was asked for by name can't be used; without the usual one we go on.
    """
    if is_first_process():
        why = "the first process of a container takes all others with it: nothing to remember"
        return Footing(None, why)
    place = place_of(loaded, runtime)
    if before is not None and before.directory is not None:
        if before.directory.path == place.path:
            return before
        made = _open(loaded, place)
        before.release()
        return made
    return _open(loaded, place)


def _open(loaded: Loaded, place: Place) -> Footing:
    seed = _seed_of(place)
    try:
        return Footing(open_state_directory(place, loaded.settings.user), seed=seed)
    except StateDirectoryError as error:
        if place.is_chosen:
            raise HostError(str(error)) from error
        problem = f"programs would be lost in a crash of this daemon: {error}"
        return Footing(None, problem, is_trouble=True, seed=seed)


def fail_without_footing(loaded: Loaded, at_present: str | None) -> None:
    """HostError if another directory than that `at_present` is asked for, and can't be used."""
    chosen = loaded.settings.state_dir
    if chosen is None or chosen == at_present or is_first_process():
        return
    directory = _open(loaded, _chosen(chosen)).directory
    if directory is not None:
        directory.release(is_over=False)


def place_of(loaded: Loaded, runtime: Path) -> Place:
    """Where the state directory of this configuration is to be.

    `runtime` is the runtime directory of who started the daemon.
    """
    chosen = loaded.settings.state_dir
    if chosen is not None:
        return _chosen(chosen)
    path = default_state_dir(loaded.files[0], os.environ, runtime)
    return Place(path=path, is_chosen=False)


def _chosen(path: str) -> Place:
    return Place(path=Path(path), is_chosen=True)


def _seed_of(place: Place) -> int:
    """Of a directory in this world, and of no other: containers may share all but their root."""
    world, root = this_world(), os.stat("/")  # noqa: PTH116 - a path of the kernel's
    path = os.path.realpath(place.path)
    which = (world.boot, world.pid_namespace, root.st_dev, root.st_ino, path)
    digest = hashlib.sha256(os.fsencode("\0".join(map(str, which)))).digest()
    return int.from_bytes(digest[:8]) or 1


def runtime_told(hand_over: HandOver, config: str, environ: Mapping[str, str]) -> Path | None:
    """The runtime directory of who started the daemon that hands over. None if it does not say.

    Versions before `runtime` had only their state directory in it. Its name tells that it is the
    usual one of this configuration, and that nobody has chosen it.
    """
    if hand_over.runtime:
        return Path(hand_over.runtime)
    if not hand_over.state_directory or environ.get(_OF_SERVICE):
        return None
    path = Path(hand_over.state_directory)
    return path.parent if default_state_dir(config, environ, path.parent) == path else None


def default_state_dir(config: str, environ: Mapping[str, str], runtime: Path) -> Path:
    """Where the daemon of this configuration keeps its state until the next boot.

    Two daemons never share one: each file has a folder of its own, by the path that it was given
    as. A link in that may lead elsewhere by the next start, to a new release, say, and it is the
    same daemon. systemd names the directory that it made for the service (RuntimeDirectory=), or
    several.
    """
    given = environ.get(_OF_SERVICE, "").partition(":")[0]
    base = Path(given) if given else runtime
    path = os.path.abspath(config)  # noqa: PTH100 - Path keeps `..`
    named = hashlib.sha256(os.fsencode(path)).hexdigest()
    return base / f"{Path(config).stem}-{named[:12]}"
