"""Which tests show that a name of Supervisor is treated as Supervisor treats it.

Tests are named by file and function, names by themselves or by a beginning and a star. That every
test exists, and that every name has one, is checked where docs/compatibility.md is made.
"""

from collections.abc import Mapping, Sequence

_STATES = "conformance/test_conform_states.py::test_same_answer_in_every_state"
_LIVES = "conformance/test_conform_lives.py::test_what_is_told_of_a_life"
_UPDATES = "conformance/test_conform_updates.py::test_reread_and_update"
_CHILDREN = "conformance/test_conform_children.py::test_same_surroundings"
_REFUSED = "conformance/test_conform_refusals.py::test_refused_configurations"
_BAD_FLAGS = "conformance/test_conform_refusals.py::test_refused_command_lines"
_CONFIG_INFO = "conformance/test_conform_queries.py::test_config_info"
_SUPERVISORCTL = "conformance/test_conform_ctl.py::test_supervisorctl_notices_nothing"
_OPSVISORCTL = "conformance/test_conform_ctl.py::test_opsvisorctl_answers_alike"
_COUNTS = "conformance/test_conform_arguments.py::test_wrong_number_of_arguments"
_RANDOM = "compat/test_supervisor_random_files.py::test_both_agree"
_TOLD = "e2e/test_event_streams_compared.py::test_the_same_is_told_of_each"

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
        "supervisor.read*",
        "supervisor.tail*",
        "supervisor.addProcessGroup",
        "supervisor.removeProcessGroup",
        "fault BAD_SIGNAL",
        "fault ABNORMAL_TERMINATION",
        "fault SPAWN_ERROR",
        "fault ALREADY_STARTED",
        "fault NOT_RUNNING",
        "fault SUCCESS",
        "fault ALREADY_ADDED",
        "fault STILL_RUNNING",
    ),
    _COUNTS: ("supervisor.*", "system.*", "fault INCORRECT_PARAMETERS"),
    "conformance/test_conform_arguments.py::test_names_that_nobody_has": ("fault BAD_NAME",),
    "conformance/test_conform_arguments.py::test_methods_that_do_not_exist": (
        "fault UNKNOWN_METHOD",
    ),
    "conformance/test_conform_arguments.py::test_signals_for_all": (
        "supervisor.signalAllProcesses",
    ),
    "conformance/test_conform_queries.py::test_facts_about_the_daemon": (
        "supervisor.getAPIVersion",
        "supervisor.getVersion",
        "supervisor.getSupervisorVersion",
        "supervisor.getIdentification",
        "supervisor.getState",
        "system.listMethods",
    ),
    "conformance/test_conform_queries.py::test_pid": ("supervisor.getPID",),
    "conformance/test_conform_queries.py::test_process_info": ("supervisor.getProcessInfo",),
    "conformance/test_conform_queries.py::test_all_process_info": (
        "supervisor.getAllProcessInfo",
    ),
    _CONFIG_INFO: (
        "supervisor.getAllConfigInfo",
        "[program:x] command",
        "[program:x] priority",
        "[program:x] killasgroup",
        "[program:x] stopasgroup",
        "[program:x] stdout_*",
        "[program:x] stderr_*",
        "[group:x] *",
    ),
    "conformance/test_conform_queries.py::test_windows_into_a_log": (
        "supervisor.readProcessStdoutLog",
        "supervisor.tailProcessStdoutLog",
        "fault BAD_ARGUMENTS",
    ),
    "conformance/test_conform_queries.py::test_logs_of_all_sorts": (
        "supervisor.readProcessLog",
        "supervisor.readProcessStderrLog",
        "supervisor.tailProcessLog",
        "supervisor.tailProcessStderrLog",
        "fault NO_FILE",
    ),
    "conformance/test_conform_queries.py::test_reading_the_activity_log": (
        "supervisor.readLog",
        "supervisor.readMainLog",
    ),
    "conformance/test_conform_queries.py::test_every_signature": ("system.methodSignature",),
    "conformance/test_conform_queries.py::test_signatures_of_methods": (
        "fault SIGNATURE_UNSUPPORTED",
    ),
    "conformance/test_conform_queries.py::test_help_for_every_method": ("system.methodHelp",),
    "conformance/test_conform_queries.py::test_multicall": ("system.multicall",),
    "conformance/test_beside_daemon.py::test_emptied_activity_log": (
        "supervisor.clearLog",
        "fault NO_FILE",
    ),
    "conformance/test_beside_daemon.py::test_all_processes": (
        "supervisor.startAllProcesses",
        "supervisor.stopAllProcesses",
        "supervisor.signalAllProcesses",
        "supervisor.clearAllProcessLogs",
    ),
    "conformance/test_beside_daemon.py::test_everything_is_refused_during_a_shutdown": (
        "fault SHUTDOWN_STATE",
        "supervisor.sendRemoteCommEvent",
    ),
    "conformance/test_beside_daemon.py::test_shutdown": (
        "supervisor.shutdown",
        "supervisorctl shutdown",
    ),
    "conformance/test_beside_daemon.py::test_restart": (
        "supervisor.restart",
        "supervisorctl reload",
        "signal SIGHUP",
    ),
    "conformance/test_beside_daemon.py::test_a_full_pipe": ("fault FAILED",),
    "conformance/test_conform_updates.py::test_broken_file_changes_nothing": (
        "fault CANT_REREAD",
        "supervisor.reloadConfig",
    ),
    _UPDATES: (
        "supervisor.reloadConfig",
        "supervisor.addProcessGroup",
        "supervisor.removeProcessGroup",
        "[program:x] *",
        "[group:x] *",
    ),
    # HTTP.
    "conformance/test_conform_http.py::test_bodies_of_calls": ("POST /RPC2",),
    "conformance/test_conform_http.py::test_liveness_page": ("GET /ok.html",),
    "conformance/test_conform_http.py::test_beginning_of_a_log_stream": ("GET /logtail",),
    "conformance/test_conform_http.py::test_beginning_of_the_activity_log_stream": (
        "GET /mainlogtail",
    ),
    "conformance/test_conform_http.py::test_credentials": (
        "[inet_http_server] *",
        "[unix_http_server] username",
        "[unix_http_server] password",
    ),
    "conformance/test_conform_http.py::test_the_socket_file_is_open_as_configured": (
        "[unix_http_server] chmod",
        "[unix_http_server] file",
    ),
    # Programs.
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
    _CHILDREN: (
        "[program:x] environment",
        "[program:x] directory",
        "[program:x] umask",
        "[program:x] serverurl",
        "[program:x] redirect_stderr",
        "[program:x] process_name",
        "[program:x] numprocs",
        "[program:x] numprocs_start",
        "[supervisord] environment",
    ),
    "conformance/test_conform_children.py::test_user": ("[program:x] user",),
    "conformance/test_conform_children.py::test_rotated_log_files": (
        "[program:x] stdout_logfile",
        "[program:x] stdout_logfile_maxbytes",
        "[program:x] stdout_logfile_backups",
    ),
    _REFUSED: (
        "[include] files",
        "[supervisord] *",
        "[unix_http_server] *",
        "[inet_http_server] *",
        "[program:x] *",
        "[group:x] *",
        "[eventlistener:x] events",
        "[eventlistener:x] buffer_size",
        "[eventlistener:x] redirect_stderr",
        "[eventlistener:x] priority",
        "[eventlistener:x] command",
        "[fcgi-program:x] socket*",
        "[rpcinterface:x] supervisor.rpcinterface_factory",
    ),
    _RANDOM: ("[program:x] *", "[eventlistener:x] *", "[fcgi-program:x] *"),
    "compat/test_supervisor_conformance.py::test_same_configuration": (
        "[supervisord] *",
        "[unix_http_server] *",
        "[inet_http_server] *",
        "[include] files",
    ),
    # Listeners and events.
    _TOLD: (
        "event PROCESS_STATE*",
        "event PROCESS_LOG*",
        "event PROCESS_COMMUNICATION*",
        "[program:x] stdout_capture_maxbytes",
        "[program:x] stdout_events_enabled",
        "[eventlistener:x] command",
        "[eventlistener:x] events",
    ),
    "e2e/test_event_streams_compared.py::test_the_same_is_told_of_the_daemon_and_by_clients": (
        "event EVENT",
        "event PROCESS_GROUP*",
        "event REMOTE_COMMUNICATION",
        "event SUPERVISOR_STATE_CHANGE*",
        "supervisor.sendRemoteCommEvent",
    ),
    "e2e/test_event_streams_compared.py::test_ticks_are_alike": ("event TICK*",),
    "compat/test_listener_config.py::test_every_kind_of_supervisor_is_known": ("event *",),
    "e2e/test_superlance.py::test_crashmail": ("supervisor.childutils",),
    # FastCGI, syslog.
    "e2e/test_fastcgi.py::test_a_client_sees_what_it_sees_with_supervisor": (
        "[fcgi-program:x] socket",
        "[fcgi-program:x] command",
    ),
    "e2e/test_fastcgi.py::test_a_socket_belongs_to_the_user_of_its_program": (
        "[fcgi-program:x] socket_owner",
        "[fcgi-program:x] socket_mode",
        "[fcgi-program:x] user",
    ),
    "e2e/test_output_elsewhere.py::test_syslog_has_what_it_has_from_supervisor": (
        "[program:x] stdout_syslog",
        "[program:x] stderr_syslog",
        "[supervisord] logfile",
    ),
    # The daemon.
    "e2e/test_supervisord_manners.py::test_the_way_to_the_background": (
        "[supervisord] nodaemon",
        "[supervisord] directory",
        "[supervisord] umask",
        "[supervisord] pidfile",
    ),
    "e2e/test_supervisord_manners.py::test_limits_are_raised_and_told": (
        "[supervisord] minfds",
        "[supervisord] minprocs",
    ),
    "e2e/test_supervisord_manners.py::test_another_user": ("[supervisord] user",),
    "e2e/test_supervisord_manners.py::test_nocleanup_keeps_old_auto_logs": (
        "[supervisord] nocleanup",
        "[supervisord] childlogdir",
    ),
    "e2e/test_output_elsewhere.py::test_nothing_is_copied_above_debug": (
        "[supervisord] loglevel",
    ),
    "conformance/test_beside_daemon.py::test_identifier": (
        "[supervisord] identifier",
        "supervisord --identifier",
    ),
    "conformance/test_beside_daemon.py::test_signals_that_end_it": (
        "signal SIGTERM",
        "signal SIGINT",
        "signal SIGQUIT",
    ),
    "conformance/test_beside_daemon.py::test_usr1": ("signal SIGUSR1",),
    "conformance/test_beside_daemon.py::test_reopened_logs": ("signal SIGUSR2",),
    "conformance/test_supervisor_end_to_end.py::test_of_supervisor": (
        "signal SIGCHLD",
        "echo_supervisord_conf",
        "pidproxy",
        "supervisor.childutils",
        "supervisorctl fg",
        "supervisord --help",
        "supervisord --identifier",
        "supervisord --configuration",
    ),
    "e2e/test_pidproxy.py::test_signals_are_passed_on": ("pidproxy",),
    "e2e/test_sample_at_work.py::test_the_sample_runs": ("echo_supervisord_conf",),
    # Command lines.
    _BAD_FLAGS: ("supervisord --*",),
    "e2e/test_daemon_flags_at_work.py::test_flags_outrank_a_file_of_supervisors": (
        "supervisord --*",
    ),
    "compat/test_daemon_flags.py::test_help_and_version_come_first": (
        "supervisord --help",
        "supervisord --version",
    ),
    "ctl/test_ctl_flags.py::test_refusals_are_worded_alike": ("supervisorctl --*",),
    "compat/test_control_file.py::test_everything_set": ("[supervisorctl] *",),
    # Commands of supervisorctl.
    _SUPERVISORCTL: ("supervisorctl *",),
    _OPSVISORCTL: ("supervisorctl *",),
    "conformance/test_conform_ctl_connections.py::test_shell": (
        "supervisorctl exit",
        "supervisorctl quit",
        "supervisorctl help",
        "[supervisorctl] prompt",
    ),
    "conformance/test_conform_ctl_connections.py::test_supervisorctl_fails_alike": (
        "[supervisorctl] serverurl",
        "supervisorctl --configuration",
    ),
    "conformance/test_beside_daemon.py::test_warnings_of_the_configuration": ("[include] files",),
    "e2e/test_supervisorctl.py::test_foreground": ("supervisorctl fg",),
    "e2e/test_supervisorctl.py::test_the_shell": ("supervisorctl exit", "supervisorctl quit"),
    "e2e/test_supervisorctl.py::test_tail_as_it_grows": ("supervisorctl tail",),
    "e2e/test_supervisorctl.py::test_maintail_as_it_grows": ("supervisorctl maintail",),
    # Refused on purpose.
    "conformance/test_beside_daemon.py::test_extensions": (
        "[rpcinterface:x] supervisor.rpcinterface_factory",
        "[eventlistener:x] result_handler",
    ),
    "conformance/test_beside_differences.py::test_web_pages": ("GET /index.html",),
    "conformance/test_beside_daemon.py::test_plugins_of_supervisorctl": (
        "[ctlplugin:x] supervisor.ctl_factory",
    ),
    "conformance/test_beside_daemon.py::test_profile_options": ("supervisord --profile_options",),
}
