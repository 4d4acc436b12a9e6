"""Which tests show that a name of Supervisor is treated as Supervisor treats it.

Tests are named by file and function, or by one of their cases besides, and names by themselves:
there is no way to say "all of a section". That every test exists, and that every name has one, is
checked where docs/compatibility.md is made. Of several tests, the first are the closest.
"""

from collections.abc import Iterator, Mapping, Sequence

_STATES = "conformance/test_conform_states.py::test_same_answer_in_every_state"
_LIVES = "conformance/test_conform_lives.py::test_what_is_told_of_a_life"
_UPDATES = "conformance/test_conform_updates.py::test_reread_and_update"
_CHILDREN = "conformance/test_conform_children.py::test_same_surroundings"
_REFUSED = "conformance/test_conform_refusals.py::test_refused_configurations"
_SECTIONS = "conformance/test_conform_sections.py"
_FLAGS = "conformance/test_conform_flags.py"
_CONTROL = f"{_FLAGS}::test_options_of_the_control_program"
_QUERIES = "conformance/test_conform_queries.py"
_DAEMON = "conformance/test_beside_daemon.py"
_OPERATORS = "conformance/test_beside_operators.py"
_SUPERVISORCTL = "conformance/test_conform_ctl.py::test_supervisorctl_notices_nothing"
_OPSVISORCTL = "conformance/test_conform_ctl.py::test_opsvisorctl_answers_alike"
_READ = "compat/test_supervisor_conformance.py::test_same_configuration"
_KINDS = "compat/test_listener_config.py::test_supervisor_knows_each_kind"
_TOLD = "e2e/test_event_streams_compared.py::test_the_same_is_told_of_each"

# Options that every kind of program has, by how they show: see test_conform_sections.py.
_BY_GET_ALL_CONFIG_INFO = [
    "autostart",
    "command",
    "directory",
    "exitcodes",
    "killasgroup",
    "numprocs",
    "numprocs_start",
    "priority",
    "process_name",
    "redirect_stderr",
    "serverurl",
    "startretries",
    "startsecs",
    "stderr_capture_maxbytes",
    "stderr_events_enabled",
    "stderr_logfile",
    "stderr_logfile_backups",
    "stderr_logfile_maxbytes",
    "stderr_syslog",
    "stdout_capture_maxbytes",
    "stdout_events_enabled",
    "stdout_logfile",
    "stdout_logfile_backups",
    "stdout_logfile_maxbytes",
    "stdout_syslog",
    "stopasgroup",
    "stopsignal",
    "stopwaitsecs",
    "user",
]
_BY_THE_PROCESS = ["directory", "environment", "serverurl", "umask", "user"]
_ONLY_OF_PROGRAMS = ("redirect_stderr", "stdout_capture_maxbytes", "stdout_events_enabled")

# Commands that the script of test_conform_ctl.py does something by.
_COMMANDS = [
    "add",
    "avail",
    "clear",
    "fg",
    "help",
    "maintail",
    "pid",
    "remove",
    "reread",
    "restart",
    "signal",
    "start",
    "status",
    "stop",
    "tail",
    "update",
    "version",
]

# Flags that test_random_flags.py gives to both programs.
_RANDOM_FLAGS = [
    "childlogdir",
    "configuration",
    "directory",
    "identifier",
    "logfile",
    "logfile_backups",
    "logfile_maxbytes",
    "loglevel",
    "minfds",
    "minprocs",
    "nocleanup",
    "nodaemon",
    "pidfile",
    "silent",
    "strip_ansi",
    "umask",
    "user",
]


def _of_sections() -> Iterator[tuple[str, tuple[str, ...]]]:
    for kind in ("program", "eventlistener", "fcgi-program"):
        for option in _BY_THE_PROCESS:
            case = f"test_option_that_is_seen[{kind}-{option}]"
            yield f"{_SECTIONS}::{case}", (f"[{kind}:x] {option}",)
        for option in _BY_GET_ALL_CONFIG_INFO:
            if kind == "eventlistener" and option in _ONLY_OF_PROGRAMS:
                continue
            case = f"test_option_that_is_told[{kind}-{option}]"
            yield f"{_SECTIONS}::{case}", (f"[{kind}:x] {option}",)
        yield f"{_SECTIONS}::test_autorestart[{kind}-autorestart]", (f"[{kind}:x] autorestart",)
    for option in ("stdout_capture_maxbytes", "stdout_events_enabled"):
        case = f"test_option_of_a_listener_without_an_effect[eventlistener-{option}]"
        yield f"{_SECTIONS}::{case}", (f"[eventlistener:x] {option}",)


EVIDENCE: Mapping[str, Sequence[str]] = {
    # Processes by XML-RPC.
    _STATES: (
        "supervisor.getProcessInfo",
        "supervisor.startProcess",
        "supervisor.startProcessGroup",
        "supervisor.stopProcess",
        "supervisor.stopProcessGroup",
        "supervisor.signalProcess",
        "supervisor.signalProcessGroup",
        "supervisor.sendProcessStdin",
        "supervisor.clearProcessLogs",
        "supervisor.clearProcessLog",
        "supervisor.readProcessStdoutLog",
        "supervisor.readProcessStderrLog",
        "supervisor.readProcessLog",
        "supervisor.tailProcessStdoutLog",
        "supervisor.tailProcessStderrLog",
        "supervisor.tailProcessLog",
        "supervisor.addProcessGroup",
        "supervisor.removeProcessGroup",
        "fault BAD_SIGNAL",
        "fault ABNORMAL_TERMINATION",
        "fault SPAWN_ERROR",
        "fault ALREADY_STARTED",
        "fault NOT_RUNNING",
        "fault ALREADY_ADDED",
        "fault STILL_RUNNING",
    ),
    "conformance/test_conform_arguments.py::test_wrong_number_of_arguments": (
        "fault INCORRECT_PARAMETERS",
    ),
    "conformance/test_conform_arguments.py::test_names_that_nobody_has": ("fault BAD_NAME",),
    "conformance/test_conform_arguments.py::test_methods_that_do_not_exist": (
        "fault UNKNOWN_METHOD",
    ),
    "conformance/test_conform_arguments.py::test_signals_for_all": (
        "supervisor.signalAllProcesses",
    ),
    f"{_QUERIES}::test_facts_about_the_daemon": (
        "supervisor.getAPIVersion",
        "supervisor.getVersion",
        "supervisor.getSupervisorVersion",
        "supervisor.getIdentification",
        "supervisor.getState",
        "system.listMethods",
    ),
    f"{_QUERIES}::test_pid": ("supervisor.getPID",),
    f"{_QUERIES}::test_process_info": ("supervisor.getProcessInfo",),
    f"{_QUERIES}::test_all_process_info": ("supervisor.getAllProcessInfo",),
    f"{_QUERIES}::test_config_info": ("supervisor.getAllConfigInfo",),
    f"{_QUERIES}::test_windows_into_a_log": (
        "supervisor.readProcessStdoutLog",
        "supervisor.tailProcessStdoutLog",
        "fault BAD_ARGUMENTS",
    ),
    f"{_QUERIES}::test_logs_of_all_sorts": (
        "supervisor.readProcessLog",
        "supervisor.readProcessStderrLog",
        "supervisor.tailProcessLog",
        "supervisor.tailProcessStderrLog",
        "fault NO_FILE",
    ),
    f"{_QUERIES}::test_reading_the_activity_log": (
        "supervisor.readLog",
        "supervisor.readMainLog",
    ),
    f"{_QUERIES}::test_every_signature": ("system.methodSignature",),
    f"{_QUERIES}::test_signatures_of_methods": ("fault SIGNATURE_UNSUPPORTED",),
    f"{_QUERIES}::test_help_for_every_method": ("system.methodHelp",),
    f"{_QUERIES}::test_multicall": ("system.multicall",),
    f"{_DAEMON}::test_emptied_activity_log": ("supervisor.clearLog", "fault NO_FILE"),
    f"{_DAEMON}::test_all_processes": (
        "supervisor.startAllProcesses",
        "supervisor.stopAllProcesses",
        "supervisor.signalAllProcesses",
        "supervisor.clearAllProcessLogs",
        "fault SUCCESS",
    ),
    f"{_DAEMON}::test_everything_is_refused_during_a_shutdown": (
        "fault SHUTDOWN_STATE",
        "supervisor.sendRemoteCommEvent",
    ),
    f"{_DAEMON}::test_shutdown[shutdown by RPC]": ("supervisor.shutdown",),
    f"{_DAEMON}::test_shutdown[shutdown by supervisorctl]": ("supervisorctl shutdown",),
    f"{_DAEMON}::test_restart[restart]": ("supervisor.restart",),
    f"{_DAEMON}::test_restart[reload]": ("supervisorctl reload",),
    f"{_DAEMON}::test_restart[HUP]": ("signal SIGHUP",),
    f"{_DAEMON}::test_a_full_pipe": ("fault FAILED",),
    "conformance/test_conform_updates.py::test_broken_file_changes_nothing": (
        "fault CANT_REREAD",
    ),
    _UPDATES: (
        "supervisor.reloadConfig",
        "supervisor.addProcessGroup",
        "supervisor.removeProcessGroup",
    ),
    # HTTP.
    "conformance/test_conform_http.py::test_bodies_of_calls": ("POST /RPC2",),
    "conformance/test_conform_http.py::test_liveness_page": ("GET /ok.html",),
    "conformance/test_conform_http.py::test_beginning_of_a_log_stream": ("GET /logtail",),
    "conformance/test_conform_http.py::test_beginning_of_the_activity_log_stream": (
        "GET /mainlogtail",
    ),
    "conformance/test_conform_http.py::test_credentials": (
        "[inet_http_server] port",
        "[inet_http_server] username",
        "[inet_http_server] password",
    ),
    "conformance/test_conform_http.py::test_the_socket_file_is_open_as_configured": (
        "[unix_http_server] chmod",
        "[unix_http_server] file",
    ),
    f"{_READ}[unix server]": (
        "[unix_http_server] file",
        "[unix_http_server] chmod",
        "[unix_http_server] chown",
    ),
    f"{_READ}[two servers]": (
        "[inet_http_server] port",
        "[inet_http_server] username",
        "[inet_http_server] password",
        "[unix_http_server] username",
        "[unix_http_server] password",
    ),
    # What programs do, and what they are.
    _LIVES: (
        "[program:x] command",
        "[program:x] autostart",
        "[program:x] autorestart",
        "[program:x] startsecs",
        "[program:x] startretries",
        "[program:x] exitcodes",
        "[program:x] stopsignal",
        "[program:x] stopwaitsecs",
    ),
    "conformance/test_conform_lives.py::test_failed_starts": ("fault NOT_EXECUTABLE",),
    f"{_CHILDREN}[environment]": ("[program:x] environment",),
    f"{_CHILDREN}[environment of the daemon outranked]": ("[supervisord] environment",),
    f"{_CHILDREN}[redirect_stderr]": ("[program:x] redirect_stderr",),
    f"{_CHILDREN}[many]": (
        "[program:x] process_name",
        "[program:x] numprocs",
        "[program:x] numprocs_start",
    ),
    "conformance/test_conform_children.py::test_user": ("[program:x] user",),
    "conformance/test_conform_children.py::test_rotated_log_files": (
        "[program:x] stdout_logfile",
        "[program:x] stdout_logfile_maxbytes",
        "[program:x] stdout_logfile_backups",
    ),
    **dict(_of_sections()),
    f"{_QUERIES}::test_config_info[left]": ("[group:x] programs", "[group:x] priority"),
    f"{_UPDATES}[a member less]": ("[group:x] programs",),
    f"{_UPDATES}[priority of a group]": ("[group:x] priority",),
    # Listeners and events.
    _TOLD: (
        "event PROCESS_STATE_STARTING",
        "event PROCESS_STATE_RUNNING",
        "event PROCESS_STATE_BACKOFF",
        "event PROCESS_STATE_STOPPING",
        "event PROCESS_STATE_STOPPED",
        "event PROCESS_STATE_EXITED",
        "event PROCESS_STATE_FATAL",
        "event PROCESS_LOG_STDOUT",
        "event PROCESS_LOG_STDERR",
        "event PROCESS_COMMUNICATION_STDOUT",
        "event PROCESS_GROUP_ADDED",
        "event PROCESS_GROUP_REMOVED",
        "[program:x] stdout_capture_maxbytes",
        "[program:x] stdout_events_enabled",
        "[program:x] stderr_events_enabled",
        "[eventlistener:x] events",
    ),
    "e2e/test_event_streams_compared.py::test_the_same_is_told_of_the_daemon_and_by_clients": (
        "event EVENT",
        "event REMOTE_COMMUNICATION",
        "event SUPERVISOR_STATE_CHANGE_RUNNING",
        "supervisor.sendRemoteCommEvent",
    ),
    "e2e/test_event_streams_compared.py::test_no_less_is_told_of_the_end": (
        "event SUPERVISOR_STATE_CHANGE_STOPPING",
    ),
    "e2e/test_event_streams_compared.py::test_ticks_are_alike": ("event TICK_5",),
    "e2e/test_event_streams_compared.py::test_misfits_are_treated_alike": (
        "[eventlistener:x] buffer_size",
    ),
    **{
        f"{_KINDS}[{name}]": (f"event {name}",)
        for name in (
            "EVENT",
            "PROCESS_COMMUNICATION",
            "PROCESS_COMMUNICATION_STDERR",
            "PROCESS_COMMUNICATION_STDOUT",
            "PROCESS_GROUP",
            "PROCESS_LOG",
            "PROCESS_STATE",
            "PROCESS_STATE_UNKNOWN",
            "SUPERVISOR_STATE_CHANGE",
            "TICK",
            "TICK_60",
            "TICK_3600",
        )
    },
    f"{_REFUSED}[buffer_size]": ("[eventlistener:x] buffer_size",),
    f"{_REFUSED}[redirect_stderr of a listener]": ("[eventlistener:x] redirect_stderr",),
    "e2e/test_superlance.py::test_crashmail": ("supervisor.childutils",),
    # FastCGI, syslog.
    "e2e/test_fastcgi.py::test_a_client_sees_what_it_sees_with_supervisor": (
        "[fcgi-program:x] socket",
    ),
    "compat/test_supervisor_fcgi.py::test_the_same_socket_as_supervisor": (
        "[fcgi-program:x] socket",
        "[fcgi-program:x] socket_backlog",
        "[fcgi-program:x] socket_mode",
        "[fcgi-program:x] socket_owner",
    ),
    "e2e/test_output_elsewhere.py::test_syslog_has_what_it_has_from_supervisor": (
        "[program:x] stdout_syslog",
        "[program:x] stderr_syslog",
        "[supervisord] logfile",
    ),
    # The daemon.
    f"{_READ}[daemon]": (
        "[supervisord] logfile",
        "[supervisord] pidfile",
        "[supervisord] nodaemon",
        "[supervisord] minfds",
        "[supervisord] minprocs",
        "[supervisord] user",
    ),
    f"{_READ}[daemon in the background]": ("[supervisord] umask", "[supervisord] directory"),
    f"{_READ}[include]": ("[include] files",),
    f"{_DAEMON}::test_warnings_of_the_configuration": ("[include] files",),
    f"{_DAEMON}::test_order_of_the_first_lines": ("[supervisord] logfile",),
    f"{_DAEMON}::test_pid_file": ("[supervisord] pidfile",),
    f"{_DAEMON}::test_identifier": ("[supervisord] identifier", "supervisord --identifier"),
    f"{_FLAGS}::test_colours[file]": ("[supervisord] strip_ansi",),
    f"{_FLAGS}::test_colours[flag]": ("supervisord --strip_ansi",),
    f"{_FLAGS}::test_silence[file]": ("[supervisord] silent",),
    f"{_FLAGS}::test_silence[flag]": ("supervisord --silent",),
    f"{_FLAGS}::test_directory_of_auto_logs[file]": ("[supervisord] childlogdir",),
    f"{_FLAGS}::test_directory_of_auto_logs[flag]": ("supervisord --childlogdir",),
    f"{_FLAGS}::test_cleanup[file]": ("[supervisord] nocleanup",),
    f"{_FLAGS}::test_cleanup[flag]": ("supervisord --nocleanup",),
    f"{_FLAGS}::test_level_of_the_activity_log[file]": (
        "[supervisord] loglevel",
        "signal SIGCHLD",
    ),
    f"{_FLAGS}::test_level_of_the_activity_log[flag]": ("supervisord --loglevel",),
    f"{_FLAGS}::test_rotation_of_the_activity_log[file]": (
        "[supervisord] logfile_maxbytes",
        "[supervisord] logfile_backups",
    ),
    f"{_FLAGS}::test_rotation_of_the_activity_log[flag]": (
        "supervisord --logfile_maxbytes",
        "supervisord --logfile_backups",
    ),
    f"{_DAEMON}::test_signals_that_end_it[TERM]": ("signal SIGTERM",),
    f"{_DAEMON}::test_signals_that_end_it[INT]": ("signal SIGINT",),
    f"{_DAEMON}::test_signals_that_end_it[QUIT]": ("signal SIGQUIT",),
    f"{_DAEMON}::test_usr1": ("signal SIGUSR1",),
    f"{_DAEMON}::test_reopened_logs": ("signal SIGUSR2",),
    "e2e/test_pidproxy.py::test_signals_are_passed_on": ("pidproxy",),
    "e2e/test_sample_at_work.py::test_the_sample_runs": ("echo_supervisord_conf",),
    # Command lines.
    "compat/test_random_flags.py::test_both_agree": tuple(
        f"supervisord --{flag}" for flag in _RANDOM_FLAGS
    ),
    f"{_FLAGS}::test_help[daemon]": ("supervisord --help",),
    f"{_FLAGS}::test_help[control]": ("supervisorctl --help",),
    f"{_OPERATORS}::test_version_of_the_daemon": ("supervisord --version",),
    # supervisorctl: its options, flags and commands.
    f"{_CONTROL}[serverurl, in the file]": (
        "[supervisorctl] serverurl",
        "supervisorctl --configuration",
    ),
    f"{_CONTROL}[serverurl, by flag]": ("supervisorctl --serverurl",),
    f"{_CONTROL}[login, in the file]": ("[supervisorctl] username", "[supervisorctl] password"),
    f"{_CONTROL}[login, by flag]": ("supervisorctl --username", "supervisorctl --password"),
    f"{_CONTROL}[prompt]": ("[supervisorctl] prompt",),
    f"{_CONTROL}[interactive]": ("supervisorctl --interactive",),
    f"{_FLAGS}::test_history_of_the_prompt[file]": ("[supervisorctl] history_file",),
    f"{_FLAGS}::test_history_of_the_prompt[flag]": ("supervisorctl --history_file",),
    _SUPERVISORCTL: tuple(f"supervisorctl {command}" for command in _COMMANDS),
    _OPSVISORCTL: tuple(f"supervisorctl {command}" for command in _COMMANDS),
    f"{_FLAGS}::test_open": ("supervisorctl open",),
    f"{_CONTROL}[exit]": ("supervisorctl exit",),
    f"{_CONTROL}[quit]": ("supervisorctl quit",),
    "e2e/test_supervisorctl.py::test_foreground": ("supervisorctl fg",),
    # Refused on purpose.
    f"{_DAEMON}::test_extensions[rpcinterface]": (
        "[rpcinterface:x] supervisor.rpcinterface_factory",
    ),
    f"{_DAEMON}::test_extensions[result_handler]": ("[eventlistener:x] result_handler",),
    "conformance/test_beside_differences.py::test_web_pages": ("GET /index.html",),
    f"{_DAEMON}::test_plugins_of_supervisorctl": ("[ctlplugin:x] supervisor.ctl_factory",),
    f"{_DAEMON}::test_profile_options": ("supervisord --profile_options",),
}
