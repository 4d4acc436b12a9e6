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
    Difference(
        id="error-unquoted",
        names=("[supervisord] environment", "[program:x] environment"),
        verdict=Verdict.BETTER,
        supervisor="an error in the syntax of the file or of `environment` quotes the whole text",
        opsvisor="it names the file, the line and the key, says why, and quotes no value",
        reason="the text may hold a password, and the log of a failed start is read by many",
    ),
    Difference(
        id="spawn-directory",
        names=("[program:x] directory",),
        verdict=Verdict.BETTER,
        supervisor="a program whose directory is missing is spawned, and ends with status 127",
        opsvisor="it is not spawned; `spawnerr` says that the directory is missing",
        reason="the reason is told where people look for it",
    ),
    Difference(
        id="child-sigpipe",
        names=(),
        verdict=Verdict.BETTER,
        supervisor="programs inherit from Python that SIGPIPE and SIGXFSZ are ignored",
        opsvisor="they begin with every signal as the system has it",
        reason="what writes to a closed pipe should end by it, as it does under a shell",
    ),
    Difference(
        id="reload-bad-file",
        names=("signal SIGHUP", "supervisor.restart", "supervisorctl reload"),
        verdict=Verdict.BETTER,
        supervisor="a restart with a broken file stops every program, and then the daemon ends",
        opsvisor="the file is read before anything is stopped; if it is broken, the log says so, "
        "and everything goes on",
        reason="a typing error must not take a machine down",
    ),
    Difference(
        id="signal-usr1",
        names=("signal SIGUSR1",),
        verdict=Verdict.BETTER,
        supervisor="USR1 kills the daemon, and leaves its programs alone without it",
        opsvisor="USR1 has no effect",
        reason="it is often sent by mistake, by whoever means USR2",
    ),
    Difference(
        id="shutdown-parallel",
        names=("supervisor.shutdown", "signal SIGTERM"),
        verdict=Verdict.BETTER,
        supervisor="a shutdown stops one group after another, each when the one before has ended",
        opsvisor="groups of one priority are stopped side by side",
        reason="a few stubborn programs would take longer than init or a container engine waits",
    ),
    Difference(
        id="stdin-full",
        names=("supervisor.sendProcessStdin",),
        verdict=Verdict.BETTER,
        supervisor="answers with HTTP status 500 when a program doesn't read what it is sent",
        opsvisor="answers with fault 30 FAILED",
        reason="clients handle faults",
    ),
    Difference(
        id="log-not-utf8",
        names=(
            "supervisor.readProcessStdoutLog",
            "supervisor.readProcessStderrLog",
            "supervisor.readProcessLog",
            "supervisor.tailProcessStdoutLog",
            "supervisor.tailProcessStderrLog",
            "supervisor.tailProcessLog",
            "supervisor.readLog",
            "supervisor.readMainLog",
        ),
        verdict=Verdict.BETTER,
        supervisor="answers with HTTP status 500, or XML that nobody can parse, where a log holds "
        "what is not UTF-8 or not allowed in XML, such as colours",
        opsvisor="replaces what can't be sent",
        reason="a log that can't be read when it is needed is worth nothing",
    ),
    Difference(
        id="clear-stopped",
        names=(
            "supervisor.clearProcessLogs",
            "supervisor.clearProcessLog",
            "supervisor.clearAllProcessLogs",
        ),
        verdict=Verdict.BETTER,
        supervisor="clearing the logs of a stopped process does nothing, and says that it did",
        opsvisor="the logs are emptied",
        reason="it is what was asked for",
    ),
    Difference(
        id="backoff-counter",
        names=("[program:x] startretries",),
        verdict=Verdict.BETTER,
        supervisor="a stop during BACKOFF keeps the number of failures, so that the next start "
        "may be the last",
        opsvisor="a start by hand begins to count at nought",
        reason="startretries then means what it says",
    ),
    Difference(
        id="no-rpcinterfaces",
        names=("[rpcinterface:x] supervisor.rpcinterface_factory",),
        verdict=Verdict.REFUSED,
        supervisor="loads any factory into the daemon, and serves what it makes",
        opsvisor="takes Supervisor's own factory as built in, and refuses every other with a hint",
        reason="foreign code in the daemon can stop it from supervising; events, the JSON API and "
        "the metrics serve what these packages were written for",
    ),
    Difference(
        id="no-result-handlers",
        names=("[eventlistener:x] result_handler",),
        verdict=Verdict.REFUSED,
        supervisor="loads any handler of a listener's results into the daemon",
        opsvisor="takes the one that is the default by name, and refuses every other with a hint",
        reason="foreign code in the daemon can stop it from supervising; a listener can do itself "
        "what the handler does",
    ),
    Difference(
        id="no-ctl-plugins",
        names=("[ctlplugin:x] supervisor.ctl_factory",),
        verdict=Verdict.REFUSED,
        supervisor="supervisorctl loads the plugins of its configuration",
        opsvisor="supervisorctl still does, whoever it talks to; opsvisorctl loads none, and "
        "opsvisord warns of the section",
        reason="patterns, parallel restarts, `why` and `events` are built in",
    ),
    Difference(
        id="no-profiler",
        names=("supervisord --profile_options",),
        verdict=Verdict.REFUSED,
        supervisor="runs itself under a profiler",
        opsvisor="refuses the flag and prints the command that does the same",
        reason="Python's profiler needs no help from what it profiles",
    ),
)
BY_ID = {difference.id: difference for difference in DIFFERENCES}
