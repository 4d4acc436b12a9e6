"""What differs from Supervisor on purpose: each difference once, with its reason.

A test that shows one is marked `differs("ID")` and asserts what both daemons do. There is none
here that no test shows; docs/compatibility.md lists them all.
"""

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What a difference means to who comes from Supervisor."""

    BETTER = "better"
    DIFFERENT = "different"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One difference. `names` are those of `known_names` that are not quite the same for it."""

    id: str
    names: tuple[str, ...]
    verdict: Verdict
    supervisor: str
    opsvisor: str
    reason: str


DIFFERENCES = (
    Difference(
        id="reread-auto-log",
        names=("[program:x] stdout_logfile", "[program:x] stderr_logfile"),
        verdict=Verdict.BETTER,
        supervisor="reread sees no change where a log file becomes AUTO, or AUTO a log file",
        opsvisor="it is a change like any other",
        reason="what was written into the file is what people expect to happen",
    ),
    Difference(
        id="reread-order",
        names=("[group:x] programs",),
        verdict=Verdict.BETTER,
        supervisor="a group whose members are named in another order has changed, so that update "
        "restarts it",
        opsvisor="it has not changed: priorities decide who starts first",
        reason="nothing is restarted for the sake of the order of a list",
    ),
    Difference(
        id="ctl-help",
        names=(),
        verdict=Verdict.DIFFERENT,
        supervisor="explains a command that it did not understand in words of its own",
        opsvisor="the error is the same, the explanation below it is worded anew, and -h says how "
        "to call it",
        reason="nothing reads these texts, and they are not ours to copy",
    ),
    Difference(
        id="ctl-version",
        names=("supervisorctl version",),
        verdict=Verdict.DIFFERENT,
        supervisor="`version` prints 4.3.0",
        opsvisor="supervisorctl is told 4.3.0 as well, and `opsvisorctl version` the version of "
        "opsvisord",
        reason="people who ask our own program want to know what they run",
    ),
    Difference(
        id="ctl-tail-memory",
        names=("supervisorctl tail",),
        verdict=Verdict.BETTER,
        supervisor="`tail` of a program without a log file is an error",
        opsvisor="`opsvisorctl tail` shows the recent output that opsvisord keeps in memory",
        reason="the output is there",
    ),
    Difference(
        id="ctl-clear-group",
        names=("supervisorctl clear",),
        verdict=Verdict.BETTER,
        supervisor="`clear g:*` fails with `g:None: ERROR (no such process)`",
        opsvisor="`opsvisorctl clear g:*` clears the logs of all its processes",
        reason="the other commands take group:*",
    ),
)
BY_ID = {difference.id: difference for difference in DIFFERENCES}
