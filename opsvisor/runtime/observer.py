"""What is told of the engine at work, besides the facts on the bus."""

from collections.abc import Callable

from opsvisor.core.outcome import Usage
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.core.struct import Struct
from opsvisor.runtime.reaper import Orphan


class Observer(Struct, frozen=True, kw_only=True):
    """Who wants to know how long things took, and what went wrong inside. All must be quick."""

    spawn_took: Callable[[float], None]
    loop_lagged: Callable[[float], None]
    reap_took: Callable[[float], None]
    run_ended: Callable[[ProcessId, Pid, Usage], None]
    orphan_reaped: Callable[[Orphan], None]
    forgotten: Callable[[ProcessId], None]
    run_began: Callable[[ProcessId, Pid], None] = lambda _id, _pid: None
    run_adopted: Callable[[ProcessId, Pid], None] = lambda _id, _pid: None
    internal_error: Callable[[str, Exception], None]
    # process, stream, and what is wrong with its log; "" when all is well again
    log_problem: Callable[[ProcessId, str, str], None] = lambda _id, _stream, _problem: None
    # process, stream, and of how many earlier runs at most somebody is read who still writes
    log_unheard: Callable[[ProcessId, str, int], None] = lambda _id, _stream, _pipes: None
    # a line about a socket that programs share; and why one can't be made, before it has to be
    socket_told: Callable[[str], None] = lambda _line: None
    socket_problem: Callable[[str], None] = lambda _problem: None
