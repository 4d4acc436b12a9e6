"""Options of a program's limits, called like the files of cgroup version 2 that they go to."""

from typing import Annotated

from opsvisor.config import kinds, units
from opsvisor.config.option import Doc
from opsvisor.core.struct import Struct

_PAGE = 4096


class ResourceOptions(Struct, frozen=True, kw_only=True):
    """[program.X.resources]: limits of each process of the program, with all that comes of it.

    They take a cgroup of its own (`cgroup` of [daemon]) in a place where the controllers `memory`,
    `cpu` and `pids` can be handed on. Where that is not so the program runs without them, which is
    told in the log and by `why`.
    """

    memory_max: Annotated[
        int | None,
        kinds.size(_PAGE, units.SIZE_MAX),
        Doc(text="It can't have more memory; what it can't do without, it is killed for."),
    ] = None
    memory_high: Annotated[
        int | None,
        kinds.size(_PAGE, units.SIZE_MAX),
        Doc(text="Above this it is slowed down, and made to give memory back."),
    ] = None
    cpu_max: Annotated[
        float | None,
        kinds.CPU_SHARE,
        Doc(text='CPU time it may use: `"150%"` is one and a half CPUs.'),
    ] = None
    pids_max: Annotated[
        int | None,
        kinds.integer(1, 4194304),
        Doc(text="It can't have more processes and threads."),
    ] = None
    oom_group: Annotated[
        bool,
        kinds.BOOLEAN,
        Doc(text="If one of them is killed for want of memory, all are."),
    ] = False
