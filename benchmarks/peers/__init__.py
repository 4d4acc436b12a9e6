"""The supervisors under test, and the bare loop that none of them can beat."""

from benchmarks.peers.circus import Circus
from benchmarks.peers.daemon import Daemon
from benchmarks.peers.debian import S6, Runit
from benchmarks.peers.floor import Floor, LogFloor
from benchmarks.peers.opsvisor import Opsvisor
from benchmarks.peers.peer import FAILURES, Job, Peer, Program, Questions
from benchmarks.peers.pm2 import Pm2
from benchmarks.peers.supervisor import SameFile, Supervisor

__all__ = [
    "ALL",
    "FAILURES",
    "FLOOR",
    "LOG_FLOORS",
    "OPSVISOR",
    "SAME_FILE",
    "SUPERVISOR",
    "Daemon",
    "Job",
    "Peer",
    "Program",
    "Questions",
]

OPSVISOR = Opsvisor()
SUPERVISOR = Supervisor()
SAME_FILE = SameFile()
FLOOR = Floor()
LOG_FLOORS = (
    LogFloor(FLOOR.name, "splice"),
    LogFloor(f"{FLOOR.name}, read and write", "copy"),
    LogFloor(f"{FLOOR.name}, counting lines", "look"),
)
ALL: tuple[Peer, ...] = (OPSVISOR, SUPERVISOR, Circus(), Runit(), S6(), Pm2())
