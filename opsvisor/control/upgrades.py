"""Upgrades as edges see them: asked for, refused, or done."""

from opsvisor.config.problems import OpsvisorError
from opsvisor.core.struct import Struct


class UpgradeRefusedError(OpsvisorError):
    """The installed version can't take over, or not now; the message says why.

    Nothing has changed.
    """


class Coming(Struct, frozen=True, kw_only=True):
    """An upgrade that was tried out and is about to be carried out."""

    from_version: str
    to_version: str


class Upgraded(Struct, frozen=True, kw_only=True):
    """The last upgrade. `at` is Unix seconds, `silence` how many of them nobody was answered.

    `count` is how many there have been since the daemon was started.
    """

    from_version: str
    at: float
    silence: float
    count: int
