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
    # Tests in other folders that show it, by file and function.
    shown_by: tuple[str, ...] = ()


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
        id="ctl-failures",
        names=(),
        verdict=Verdict.BETTER,
        supervisor="some commands print `error: <class ...>` and a place in Python code where "
        "there is no daemon, and all of them do so below `Server requires authentication`",
        opsvisor="opsvisorctl prints one readable line, and what it tried besides; the exit "
        "status is the same",
        reason="whoever looks for the cause finds it in the message",
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
        id="tail-dev-null",
        names=(
            "[program:x] stdout_logfile",
            "[program:x] stderr_logfile",
            "supervisorctl tail",
            "supervisor.readProcessStdoutLog",
            "supervisor.tailProcessStdoutLog",
        ),
        verdict=Verdict.BETTER,
        supervisor="`tail` of a program that logs to /dev/null is empty",
        opsvisor="it shows the recent output that opsvisord keeps in memory, by supervisorctl and "
        "XML-RPC as well",
        reason="the output is there, and on no disk",
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
        id="environment-quotes",
        names=("[supervisord] environment", "[program:x] environment"),
        verdict=Verdict.DIFFERENT,
        supervisor="4.3 knows no escapes in `environment`, takes quotes off both ends of a value, "
        "and ends a value where a quote does: "
        """`A="\\\\d",B='"q"',C="a"'b'` gives `\\\\d`, `q`, `a`""",
        opsvisor="reads it as a POSIX shell does, and as 4.4 will: "
        """`\\d`, `"q"`, `ab`; the log, --check and `opsvisorctl migrate` name each variable """
        "that 4.3 reads otherwise",
        reason="what is written in quotes should be what a program gets",
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
        id="pidfile-of-others",
        names=("[supervisord] pidfile",),
        verdict=Verdict.BETTER,
        supervisor="writes its pid over whatever the file holds, and removes it at the end",
        opsvisor="leaves a file that holds anything but a pid, and says so",
        reason="a slip in a path would cost the file, the configuration itself for instance",
    ),
    Difference(
        id="directory-empty",
        names=("[program:x] directory",),
        verdict=Verdict.DIFFERENT,
        supervisor="`directory=` without a value is a directory that can't be entered: the "
        "program ends with status 127, BACKOFF, and FATAL in the end",
        opsvisor="it means that none is given: the program runs where the daemon does",
        reason="it is what an empty value of other options means",
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
    Difference(
        id="no-web-pages",
        names=("GET /index.html",),
        verdict=Verdict.REFUSED,
        supervisor="serves a page with the state of all programs, whose links start and stop "
        "them by a plain GET",
        opsvisor="has one page, at /, which asks by POST; no GET changes anything, and none "
        "of those pages is there",
        reason="any page in the operator's browser could have used those links",
    ),
    Difference(
        id="foreign-host",
        names=("POST /RPC2", "[inet_http_server] port"),
        verdict=Verdict.BETTER,
        supervisor="answers whatever the Host header of a request says",
        opsvisor="a server on loopback without a password answers to its address, localhost and "
        "the names of the machine: others get 421",
        reason="a web page whose name resolves to 127.0.0.1 could have steered the daemon",
    ),
    Difference(
        id="no-500",
        names=("POST /RPC2", "GET /logtail"),
        verdict=Verdict.BETTER,
        supervisor="answers odd arguments, credentials without a colon and /logtail of nobody "
        "with HTTP status 500, and logs a traceback",
        opsvisor="answers with fault 2 or 10, with 401, and with 404",
        reason="an error should say whose it is",
    ),
    Difference(
        id="config-info-large",
        names=("supervisor.getAllConfigInfo",),
        verdict=Verdict.BETTER,
        supervisor="answers with HTTP status 500 as soon as one program has a size of 2 GiB",
        opsvisor="tells the largest number that XML-RPC has",
        reason="one setting of one program must not blind its clients to all",
    ),
    Difference(
        id="config-info-autorestart",
        names=("supervisor.getAllConfigInfo",),
        verdict=Verdict.BETTER,
        supervisor="4.3 leaves out autorestart",
        opsvisor="tells it, as 4.4 will: true, false or 'unexpected'",
        reason="clients that don't know it look for other keys",
    ),
    Difference(
        id="term-after-start",
        names=("[program:x] stopsignal",),
        verdict=Verdict.BETTER,
        supervisor="a signal sent right after a start is lost, and SIGKILL follows after "
        "stopwaitsecs",
        opsvisor="no signal is lost",
        reason="the program is given its own signal handlers before anybody can signal it",
    ),
    Difference(
        id="stop-continues",
        names=("[program:x] stopsignal", "supervisor.stopProcess"),
        verdict=Verdict.BETTER,
        supervisor="a stop sends the stop signal only: a program that is suspended, by SIGSTOP "
        "say, doesn't see it, and is killed after stopwaitsecs",
        opsvisor="SIGCONT follows the stop signal, also to programs that are not suspended: one "
        "with a handler for it sees it",
        reason="a suspended program should be able to end in order as well",
    ),
    Difference(
        id="paced-restarts",
        names=("[program:x] autorestart",),
        verdict=Verdict.BETTER,
        supervisor="a program with startsecs=0 that ends at once is restarted as fast as the "
        "daemon can, for ever",
        opsvisor="the first restart comes at once, those behind it ever slower, at most 5 s apart",
        reason="it would take a core, and fill the log",
    ),
    Difference(
        id="start-in-backoff",
        names=("supervisorctl start",),
        verdict=Verdict.BETTER,
        supervisor="a program that waits for its next attempt can't be started",
        opsvisor="XML-RPC says so too; `opsvisorctl start` starts it now, with all its retries",
        reason="whoever has mended it doesn't want to wait",
    ),
    Difference(
        id="stray-percent",
        names=("[program:x] command",),
        verdict=Verdict.BETTER,
        supervisor="`100% sure` in a command becomes the text of its whole environment",
        opsvisor="it is an error; a percent sign is written %%",
        reason="the environment may hold secrets, and nobody means that",
    ),
    Difference(
        id="event-rejected",
        names=("[eventlistener:x] events",),
        verdict=Verdict.BETTER,
        supervisor="an event that a listener rejects goes to every pool of the same priority",
        opsvisor="it goes back to its own pool",
        reason="others got events twice, or never asked for them",
    ),
    Difference(
        id="capture-last-words",
        names=("[program:x] stdout_capture_maxbytes", "[program:x] stderr_capture_maxbytes"),
        verdict=Verdict.BETTER,
        supervisor="in capture mode the last bytes that a program prints never reach its log",
        opsvisor="they do",
        reason="the last words of a program are the most important ones",
    ),
    Difference(
        id="fcgi-in-groups",
        names=("[fcgi-program:x] socket",),
        verdict=Verdict.BETTER,
        supervisor="a FastCGI program that is a member of a group gets no socket",
        opsvisor="it gets it",
        reason="it can't work without",
        shown_by=("e2e/test_fastcgi.py::test_a_group_of_mixed_programs",),
    ),
    Difference(
        id="fcgi-stolen",
        names=("[fcgi-program:x] socket",),
        verdict=Verdict.BETTER,
        supervisor="a second daemon takes the FastCGI sockets of the first away before it fails",
        opsvisor="a socket that somebody listens on is left alone",
        reason="a typing error at the prompt must not take a site down",
        shown_by=("e2e/test_fastcgi.py::test_a_second_daemon_steals_nothing",),
    ),
    Difference(
        id="manager-variables",
        names=(),
        verdict=Verdict.BETTER,
        supervisor="programs inherit NOTIFY_SOCKET, WATCHDOG_* and LISTEN_* of the daemon",
        opsvisor="they don't",
        reason="they are for the process that systemd has started: a program that notifies by "
        "itself would speak in the daemon's name",
    ),
    Difference(
        id="log-on-stdout",
        names=("[supervisord] logfile",),
        verdict=Verdict.BETTER,
        supervisor="with nodaemon and logfile=/dev/stdout every line appears twice",
        opsvisor="once",
        reason="this is how containers are set up",
        shown_by=(
            "e2e/test_supervisord_manners.py::test_a_log_on_standard_output_is_not_doubled",
        ),
    ),
    Difference(
        id="stop-whole-group",
        names=("[program:x] stopasgroup", "supervisor.stopProcess"),
        verdict=Verdict.BETTER,
        supervisor="a stop is over when the leader of the process group has ended; members that "
        "ignore the signal live on",
        opsvisor="it is over when the last member has, by SIGKILL if need be",
        reason="what is left behind holds the port that the next start needs",
    ),
    Difference(
        id="update-changed-only",
        names=("supervisorctl update",),
        verdict=Verdict.BETTER,
        supervisor="`update` stops and starts all processes of a group in which one has changed",
        opsvisor="`opsvisorctl update` touches only those that have; supervisorctl's own `update` "
        "is a series of calls, and does as ever",
        reason="one worker more is no reason to restart the others",
    ),
    Difference(
        id="auto-log-names",
        names=("[program:x] stdout_logfile", "[program:x] stderr_logfile"),
        verdict=Verdict.BETTER,
        supervisor="the names of AUTO logs are made up at every start",
        opsvisor="they have the same form, and stay: the eight characters are not random",
        reason="whoever follows such a file finds it again",
    ),
    Difference(
        id="ctl-broken-file",
        names=("supervisorctl --configuration",),
        verdict=Verdict.BETTER,
        supervisor="supervisorctl prints a traceback for a file that is no INI, status 1",
        opsvisor="opsvisorctl says what is wrong with it, status 2",
        reason="it is an error of the file, and not of the program",
    ),
    Difference(
        id="logtail-truncated",
        names=("GET /logtail", "GET /mainlogtail"),
        verdict=Verdict.BETTER,
        supervisor="hangs up on whoever follows a log that is cut",
        opsvisor="sends `==> File truncated <==`, also after a clear, and goes on",
        reason="it is what Supervisor means to do",
    ),
    Difference(
        id="log-unopened",
        names=("[program:x] stdout_logfile", "[program:x] stderr_logfile"),
        verdict=Verdict.DIFFERENT,
        supervisor="a program whose log file can't be opened is not started: `unknown error "
        "making dispatchers`, BACKOFF, and FATAL in the end",
        opsvisor="it runs without its log. A warning says `log of x (stdout): cannot open ...`, "
        "and so do `opsvisorctl why`, the API and opsvisor_log_write_errors_total: set an alert "
        "on it",
        reason="a full or missing disk for logs should not take the service down as well",
    ),
    Difference(
        id="activity-log-unopened",
        names=("[supervisord] logfile",),
        verdict=Verdict.DIFFERENT,
        supervisor="prints a traceback and ends with status 1 when it can't open its own log",
        opsvisor="says that it can't, and starts",
        reason="programs matter more than the log of what looks after them",
    ),
    Difference(
        id="socket-directory",
        names=("[unix_http_server] file",),
        verdict=Verdict.BETTER,
        supervisor="ends with status 2 when the directory of the socket is missing",
        opsvisor="makes it, mode 0755, but none above it: that is status 2 here too",
        reason="directories below /run are gone after each boot",
    ),
    Difference(
        id="pidfile-device",
        names=("[supervisord] pidfile", "supervisord --pidfile"),
        verdict=Verdict.BETTER,
        supervisor="removes at its end whatever is there: as root with pidfile=/dev/null, that "
        "device",
        opsvisor="removes nothing but a regular file with its own pid in it",
        reason="a machine without /dev/null is a broken one",
    ),
    Difference(
        id="old-auto-logs",
        names=("[supervisord] nocleanup", "supervisord --nocleanup"),
        verdict=Verdict.BETTER,
        supervisor="removes at start every file of childlogdir whose name looks like that of an "
        "AUTO log, links included",
        opsvisor="only regular files of its own user whose whole name has that form",
        reason="what is removed must be its own",
    ),
    Difference(
        id="rotated-before",
        names=("[program:x] stdout_logfile_maxbytes", "[program:x] stderr_logfile_maxbytes"),
        verdict=Verdict.BETTER,
        supervisor="a log is rotated when it has grown beyond maxbytes",
        opsvisor="before it would",
        reason="maxbytes is what a disk was planned with",
    ),
    Difference(
        id="fcgi-file-removed",
        names=("[fcgi-program:x] socket",),
        verdict=Verdict.BETTER,
        supervisor="the file of a unix socket stays when its last process has ended",
        opsvisor="it is removed",
        reason="nobody listens there, and a web server should be able to see that",
    ),
    Difference(
        id="exec-failure",
        names=("[program:x] command", "[program:x] user"),
        verdict=Verdict.BETTER,
        supervisor="what fails between fork and exec, such as a change of the user or an exec "
        "format error, is a process that `exited: x (exit status 127; not expected)`",
        opsvisor="it is a failed start: the log says `spawnerr:` and why, and there is no line of "
        "an exit. The answer to who wanted it started is the same, fault 50",
        reason="the reason is told where people look for it",
    ),
    Difference(
        id="relative-command",
        names=("[program:x] directory", "[program:x] command"),
        verdict=Verdict.DIFFERENT,
        supervisor="looks for a relative command in the directory of the daemon, whatever "
        "`directory` says: `can't find command`",
        opsvisor="in `directory`, where the program is run",
        reason="it is what everybody expects who writes ./run",
    ),
    Difference(
        id="update-running",
        names=("supervisorctl update",),
        verdict=Verdict.DIFFERENT,
        supervisor="a changed program with autostart=false that was running is stopped",
        opsvisor="after `opsvisorctl update` it runs again; after supervisorctl's own it is "
        "stopped, as ever",
        reason="an update is not an order to stop",
    ),
    Difference(
        id="start-in-stopping",
        names=("supervisorctl start",),
        verdict=Verdict.BETTER,
        supervisor="a process that is being stopped can't be started: `abnormal termination`",
        opsvisor="XML-RPC says so too; `opsvisorctl start` waits for its end, and starts it",
        reason="it is what was asked for",
    ),
    Difference(
        id="ctl-during-shutdown",
        names=(),
        verdict=Verdict.DIFFERENT,
        supervisor="while the daemon shuts down, supervisorctl prints `error: <class ...>` and "
        "the fault",
        opsvisor="supervisorctl still does; opsvisorctl says `x: ERROR (supervisor shutting "
        "down)`, and tells the status to the end",
        reason="it is when one wants to see what it waits for",
    ),
    Difference(
        id="events-of-pacing",
        names=("event PROCESS_STATE_BACKOFF",),
        verdict=Verdict.DIFFERENT,
        supervisor="PROCESS_STATE_BACKOFF comes from STARTING only",
        opsvisor="also with from_state:EXITED, when a restart after a run is put off for a moment",
        reason="restarts are paced, see above, and listeners should know what is going on",
    ),
    Difference(
        id="captured-once",
        names=("event PROCESS_LOG_STDOUT", "event PROCESS_LOG_STDERR"),
        verdict=Verdict.BETTER,
        supervisor="text between the marks of the capture mode is sent as PROCESS_LOG as well",
        opsvisor="it is sent as PROCESS_COMMUNICATION only",
        reason="it is what the documentation of Supervisor says",
    ),
    Difference(
        id="last-answers",
        names=("event SUPERVISOR_STATE_CHANGE_STOPPING",),
        verdict=Verdict.BETTER,
        supervisor="the last pool of listeners is never told that the daemon stops",
        opsvisor="it is, and has up to 1 s for its last answers before it is stopped",
        reason="listeners that tell people of a shutdown have to hear of it",
    ),
    Difference(
        id="body-of-401",
        names=("[inet_http_server] username", "[inet_http_server] password"),
        verdict=Verdict.DIFFERENT,
        supervisor="the body of a 401 is a small page",
        opsvisor="it is JSON, as everywhere else in the API; status and challenge are the same",
        reason="what reads bodies of errors at all reads JSON",
    ),
    Difference(
        id="body-too-large",
        names=("POST /RPC2",),
        verdict=Verdict.DIFFERENT,
        supervisor="reads calls of any size",
        opsvisor="answers with 413 to a body of more than 1 MiB",
        reason="no client may fill the memory of the daemon; multicalls of thousands fit in",
    ),
    Difference(
        id="ctl-open",
        names=("supervisorctl open",),
        verdict=Verdict.DIFFERENT,
        supervisor="`open URL` has status 0 whatever comes of it, and sends the login of the "
        "first server to the other",
        opsvisor="`opsvisorctl open` has the status of `status`: 3 if something is down, 4 if "
        "nobody is there; a login stays with its server, and a terminal is asked for another",
        reason="a script should be able to tell, and no password should go astray",
    ),
    Difference(
        id="ctl-table",
        names=("supervisorctl status",),
        verdict=Verdict.DIFFERENT,
        supervisor="`status` prints the same everywhere",
        opsvisor="`opsvisorctl status` prints a table on a terminal; piped, or with --plain, it "
        "is Supervisor's text",
        reason="people see more in a table, and scripts read what they always read",
    ),
    Difference(
        id="ctl-progress",
        names=(
            "supervisorctl start",
            "supervisorctl stop",
            "supervisorctl restart",
            "supervisorctl shutdown",
            "supervisorctl reload",
        ),
        verdict=Verdict.DIFFERENT,
        supervisor="prints the same everywhere; `shutdown` and `reload` end at once",
        opsvisor="on a terminal it shows how far it is, and of more than 20 processes only "
        "failures and how many went well; `shutdown` and `reload` end there when all is stopped. "
        "Piped, or with --plain, it is as with Supervisor",
        reason="who stops 200 programs wants to see which of them doesn't stop",
        shown_by=(
            "ctl/test_ctl_progress.py::test_how_far_it_is",
            "ctl/test_ctl_progress.py::test_a_shutdown_is_watched_until_all_is_stopped",
            "ctl/test_ctl_progress.py::test_scripts_are_told_as_ever",
        ),
    ),
    Difference(
        id="daemon-version",
        names=("supervisord --version",),
        verdict=Verdict.DIFFERENT,
        supervisor="`supervisord -v` prints 4.3.0",
        opsvisor="`opsvisord -v` prints its own version; XML-RPC tells 4.3.0",
        reason="people who ask our own program want to know what they run",
    ),
    Difference(
        id="listener-output",
        names=(
            "[eventlistener:x] stdout_capture_maxbytes",
            "[eventlistener:x] stdout_events_enabled",
        ),
        verdict=Verdict.DIFFERENT,
        supervisor="getAllConfigInfo tells what the file says, though it has no effect on the "
        "answers of a listener",
        opsvisor="it has no effect here either, and is told as not set",
        reason="what is told should be what is done",
    ),
    Difference(
        id="help-of-programs",
        names=("supervisord --help", "supervisorctl --help"),
        verdict=Verdict.DIFFERENT,
        supervisor="--help prints its flags",
        opsvisor="--help prints the same flags and more, in words of its own",
        reason="nothing reads these texts, and they are not ours to copy",
    ),
    Difference(
        id="ctl-history",
        names=("[supervisorctl] history_file", "supervisorctl --history_file"),
        verdict=Verdict.BETTER,
        supervisor="history_file of the file is kept, that of -r is not",
        opsvisor="opsvisorctl keeps both, and notes the time of each line",
        reason="a flag should do what it says",
    ),
)
BY_ID = {difference.id: difference for difference in DIFFERENCES}
