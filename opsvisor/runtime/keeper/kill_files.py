"""The cgroup.kill files of all leaves, open and with a keeper that is to kill after a crash."""

import os
from contextlib import suppress

from opsvisor.runtime.keeper import names
from opsvisor.runtime.keeper.client import Keeper


class KillFiles:
    """Has the keeper end a leaf with all that is in it, wherever in it that has gone.

    It could not open the files itself: what it needs at that moment has to be in its hands.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._files: dict[str, int] = {}  # by folder

    def leaf_made(self, folder: str) -> None:
        """There is such a leaf. Before Linux 5.14 it has no such file: its group is killed."""
        if folder in self._files:
            return
        with suppress(OSError):
            file = os.open(f"{folder}/cgroup.kill", os.O_WRONLY | os.O_CLOEXEC)
            name = _name_of(file)
            kept = self._keeper.claim(name)
            if kept is not None:  # it was open in the daemon that became us by exec
                os.close(file)
                file = kept
            self._files[folder] = file
            self._keeper.keep(name, file)

    def leaf_left(self, folder: str) -> None:
        """It is to be removed when it is empty, and not ours to kill any more."""
        file = self._files.pop(folder, None)
        if file is not None:
            self._keeper.drop(_name_of(file))
            os.close(file)

    def close(self) -> None:
        """Let go of all."""
        for folder in list(self._files):
            self.leaf_left(folder)


def _name_of(file: int) -> str:
    return names.of_kill_file(os.fstat(file).st_ino)
