"""Options of a program's streams: where its output goes, and where it listens."""

from typing import Annotated

from opsvisor.config import kinds, network_kinds, units
from opsvisor.config.option import Doc, PerProgram, Required, Section
from opsvisor.core.struct import Struct, field


class StreamOptions(Struct, frozen=True, kw_only=True):
    """[program.X.log.stdout] and stderr: what differs from the other stream."""

    path: Annotated[
        str | None,
        kinds.PATH,
        Doc(
            text="The file, if the stream has further options; otherwise write its path alone.",
            supervisor=("logfile",),
        ),
    ] = None
    rotate_size: Annotated[
        int | None,
        kinds.size(0, units.SIZE_MAX),
        Doc(text="As `log.rotate_size`, for this stream alone."),
    ] = None
    rotate_keep: Annotated[
        int | None,
        kinds.integer(0, kinds.INTEGER_MAX),
        Doc(text="As `log.rotate_keep`, for this stream alone."),
    ] = None
    private: Annotated[
        bool,
        kinds.BOOLEAN,
        Doc(text="Create the file for its owner's eyes only, with mode 0600."),
    ] = False
    syslog: Annotated[
        bool | None,
        kinds.BOOLEAN,
        Doc(text="As `log.syslog`, for this stream alone."),
    ] = None
    events: Annotated[
        bool | None,
        kinds.BOOLEAN,
        Doc(text="As `log.events`, for this stream alone."),
    ] = None
    message_limit: Annotated[
        int | None,
        kinds.size(0, units.SIZE_MAX),
        Doc(text="As `log.message_limit`, for this stream alone."),
    ] = None


class LogOptions(Struct, frozen=True, kw_only=True):
    """[program.X.log]: where a program's output goes."""

    stdout: Annotated[
        StreamOptions,
        Section(options=StreamOptions, shorthand="path"),
        Doc(
            text='File for standard output. `"auto"` is a private one in `child_log_dir` of '
            "[daemon]. Without it the output is kept in memory only.",
            supervisor=("stdout_logfile",),
        ),
    ] = field(default_factory=StreamOptions)
    stderr: Annotated[
        StreamOptions,
        Section(options=StreamOptions, shorthand="path"),
        Doc(
            text='File for standard error; `"merge"` sends it where standard output goes.',
            supervisor=("stderr_logfile", "redirect_stderr"),
        ),
    ] = field(default_factory=StreamOptions)
    rotate_size: Annotated[
        int,
        kinds.size(0, units.SIZE_MAX),
        Doc(
            text="A file that would grow beyond this is rotated; 0 never rotates.",
            supervisor=("stdout_logfile_maxbytes", "stderr_logfile_maxbytes"),
        ),
    ] = 50 * 1024**2
    rotate_keep: Annotated[
        int,
        kinds.integer(0, kinds.INTEGER_MAX),
        Doc(
            text="Number of rotated files kept; 0 empties the file instead.",
            supervisor=("stdout_logfile_backups", "stderr_logfile_backups"),
        ),
    ] = 10
    strip_ansi: Annotated[
        bool,
        kinds.BOOLEAN,
        Doc(text="Leave colours and cursor movements out of the files.", source="Supervisor"),
    ] = False
    syslog: Annotated[
        bool,
        kinds.BOOLEAN,
        Doc(
            text="Send each line to the system's log as well, behind the name of its process.",
            source="Supervisor",
            supervisor=("stdout_syslog", "stderr_syslog"),
        ),
    ] = False
    events: Annotated[
        bool,
        kinds.BOOLEAN,
        Doc(
            text="Tell event listeners what is printed, as PROCESS_LOG events.",
            source="Supervisor",
            supervisor=("stdout_events_enabled", "stderr_events_enabled"),
        ),
    ] = False
    message_limit: Annotated[
        int,
        kinds.size(0, units.SIZE_MAX),
        Doc(
            text="Text between `<!--XSUPERVISOR:BEGIN-->` and `<!--XSUPERVISOR:END-->` is a "
            "message to event listeners instead of part of the log, a PROCESS_COMMUNICATION "
            "event: its newest bytes, up to this many. 0 looks for no messages.",
            source="Supervisor",
            supervisor=("stdout_capture_maxbytes", "stderr_capture_maxbytes"),
        ),
    ] = 0


class SocketOptions(Struct, frozen=True, kw_only=True):
    """[program.X.socket]: a listening socket that its processes share, as FastCGI has it."""

    listen: Annotated[
        str,
        network_kinds.SOCKET,
        Doc(
            text='`"unix:///absolute/path"` or `"tcp://host:port"`, with `*` for all interfaces; '
            "may contain `{replica}`, which gives each process its own.",
            supervisor=("socket",),
        ),
        Required('listen = "unix:///run/web.sock"'),
        PerProgram(),
    ] = ""
    mode: Annotated[
        int,
        kinds.MODE,
        Doc(text="Who may connect to a unix socket.", supervisor=("socket_mode",)),
        PerProgram(),
    ] = 0o700
    owner: Annotated[
        str | None,
        kinds.USER,
        Doc(
            text='Whose a unix socket is, `"user"` or `"user:group"`; without it, the user that '
            "the program runs as.",
            supervisor=("socket_owner",),
        ),
        PerProgram(),
    ] = None
    backlog: Annotated[
        int | None,
        kinds.integer(1, 65535),
        Doc(
            text="How many connections may wait for a process to take them; without it, as many "
            "as the system allows.",
            supervisor=("socket_backlog",),
        ),
        PerProgram(),
    ] = None
