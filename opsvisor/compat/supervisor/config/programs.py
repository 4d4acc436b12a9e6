"""[program:x] becomes the specs of its processes."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from opsvisor.compat.supervisor.config.expansions import Names, environment_names
from opsvisor.compat.supervisor.config.ini import Section
from opsvisor.compat.supervisor.config.options import STDERR, STDOUT, Program, Stream
from opsvisor.compat.supervisor.config.origins import program_origins
from opsvisor.compat.supervisor.config.sections import Findings, SectionReader
from opsvisor.compat.supervisor.config.values import LogTarget
from opsvisor.config.auto_log import auto_path
from opsvisor.config.origins import Origins, Written
from opsvisor.core.spec import (
    ExponentialBackoff,
    KillMode,
    LinearBackoff,
    LogSpec,
    ProcessId,
    ProcessSpec,
    RestartPolicy,
    Startup,
    StdinMode,
    StopPolicy,
)
from opsvisor.core.struct import Struct, replace

# Supervisor restarts after a run at once and without end, some forty times a second. This is
# close enough for anything that lives, and keeps the machine usable for what doesn't.
_RUN_BACKOFF = ExponentialBackoff(delay=0.1, factor=2.0, limit=5.0, jitter=0.0)

# The kernel takes no word of more than 128 KiB, and shlex needs seconds for one of that length.
_COMMAND_MAX = 256 * 1024


class Surroundings(Struct, frozen=True, kw_only=True):
    """What programs take over from the rest of the configuration.

    `names` are expanded in every section; `environment` is that of [supervisord]; `config_path`
    is absolute, `start` is the absolute folder in which relative paths begin; `server_url` is ""
    where nothing listens. Where values were written goes to `origins`, after what is written of
    all programs.
    """

    names: Names
    environment: Mapping[str, str]
    server_url: str
    identifier: str
    config_path: str
    start: Path
    child_log_dir: str
    strip_ansi: bool
    findings: Findings
    origins: Origins
    shared_origins: Written


class _Common(Struct, frozen=True, kw_only=True):
    """What stands beside the number of a process, but is read for all of a program at once."""

    redirect_stderr: bool
    server_url: str | None
    told: Mapping[Stream, bool]
    captured: Mapping[Stream, int]


def read_program(
    section: Section, group: str, around: Surroundings, *, as_member: bool = False
) -> list[ProcessSpec]:
    """The processes of one program in `group`, in order of their numbers.

    `as_member` says that the group has a section of its own, and so a priority of its own.
    """
    program = section.label.strip()
    around.origins.note_program(group, program, program_origins(section, around.shared_origins))
    names = {**around.names, "program_name": program, "group_name": group}
    suffix = f" in section '{section.name}' (file: '{section.where.file}')"
    reader = SectionReader(section, names, around.findings, start=around.start, suffix=suffix)
    # It is that of the group as well, and read with its eyes then: fewer names, and no suffix.
    outside = SectionReader(section, around.names, around.findings, start=around.start)
    priority = (reader if as_member else outside).get(Program.PRIORITY)
    template = _template(reader, ProcessId(group, program), priority)
    count, first = reader.get(Program.NUMPROCS), reader.get(Program.NUMPROCS_START)
    name = reader.get_unexpanded(Program.PROCESS_NAME)
    if count > 1 and "%(process_num)" not in name:
        what = "%(process_num) must be present within process_name when numprocs > 1"
        hint = "process_name = %(program_name)s_%(process_num)02d"
        reader.reject(Program.NUMPROCS, what, hint)
        count = 1  # to look at the rest
    common = _Common(
        redirect_stderr=reader.get(Program.REDIRECT_STDERR),
        server_url=reader.get(Program.SERVERURL),
        told={stream: reader.get(stream.events) for stream in (STDOUT, STDERR)},
        captured={stream: reader.get(stream.capture) for stream in (STDOUT, STDERR)},
    )
    specs = []
    problems_before = around.findings.problem_count
    for number in range(first, first + count):
        mine = reader.with_names({"process_num": number, "numprocs": count})
        specs.append(_process(mine, common, replace(template, replica=number), name, around))
        if around.findings.problem_count > problems_before:
            break  # the other processes would only say the same again
    return specs


def _template(reader: SectionReader, process_id: ProcessId, priority: int) -> ProcessSpec:
    """What all processes of a program have in common."""
    return ProcessSpec(
        id=process_id,
        program=process_id.name,
        command="",
        argv=(),
        priority=priority,
        startup=Startup.ENABLED if reader.get(Program.AUTOSTART) else Startup.DISABLED,
        min_uptime=max(0.0, float(reader.get(Program.STARTSECS))),
        user=reader.get(Program.USER),
        umask=reader.get(Program.UMASK),
        stdin=StdinMode.PIPE,
        restart=_restart_policy(reader),
        stop=_stop_policy(reader),
    )


def _restart_policy(reader: SectionReader) -> RestartPolicy:
    return RestartPolicy(
        mode=reader.get(Program.AUTORESTART),
        success=reader.get(Program.EXITCODES),
        early_exit_fails=True,
        failed_starts_max=max(0, reader.get(Program.STARTRETRIES)),
        start_backoff=LinearBackoff(step=1.0),
        run_backoff=_RUN_BACKOFF,
        backoff_reset=max(1.0, float(reader.get(Program.STARTSECS))),
        limit=None,
        fatal_retry_delay=None,
    )


def _stop_policy(reader: SectionReader) -> StopPolicy:
    stop_group = reader.get(Program.STOPASGROUP)
    kill_group = reader.get(Program.KILLASGROUP)
    if stop_group and kill_group is False:
        what = "Cannot set stopasgroup=true and killasgroup=false"
        reader.reject(Program.KILLASGROUP, what, "leave killasgroup out: it follows stopasgroup")
    return StopPolicy(
        signal=reader.get(Program.STOPSIGNAL),
        kill_delay=max(0.0, float(reader.get(Program.STOPWAITSECS))),
        signal_mode=KillMode.GROUP if stop_group else KillMode.PROCESS,
        kill_mode=KillMode.GROUP if stop_group or kill_group else KillMode.PROCESS,
    )


def _process(
    reader: SectionReader,
    common: _Common,
    template: ProcessSpec,
    name: str,
    around: Surroundings,
) -> ProcessSpec:
    """One process: the template and what may be different for each."""
    own = reader.get(Program.ENVIRONMENT)
    reader.tell_doubts(Program.ENVIRONMENT, own)
    reader = reader.with_names(environment_names(own.values))
    process_id = ProcessId(template.id.group, reader.expand(name, Program.PROCESS_NAME))
    if not reader.has(Program.COMMAND):
        what = f"program section {reader.section.name} does not specify a command"
        reader.reject(Program.COMMAND, what, "add command = /path/to/program")
    command = reader.get(Program.COMMAND)
    argv, command_problem = _split(command)
    stdout = _log(reader, STDOUT, common, process_id, around)
    stderr: LogSpec | None = _log(reader, STDERR, common, process_id, around)
    if common.redirect_stderr:
        _warn_of_ignored_file(reader)
        stderr = None
    return replace(
        template,
        id=process_id,
        command=command,
        argv=argv,
        command_problem=command_problem,
        # Supervisor fails to change into a folder called "". Nobody means that.
        working_dir=reader.get(Program.DIRECTORY) or None,
        environment=_environment(common.server_url, process_id, own.values, around),
        stdout=stdout,
        stderr=stderr,
    )


def _split(command: str) -> tuple[tuple[str, ...], str]:
    """The words of a command, or why there are none."""
    if len(command) > _COMMAND_MAX:
        return (), f"command is longer than {_COMMAND_MAX} characters"
    try:
        words = tuple(shlex.split(command))
    except ValueError as why:
        return (), f"can't parse command {command!r}: {why}"
    return words, "" if words else "command is empty"


def _environment(
    server_url: str | None, process_id: ProcessId, own: Mapping[str, str], around: Surroundings
) -> tuple[tuple[str, str], ...]:
    url = around.server_url if server_url is None else server_url
    variables = {
        "SUPERVISOR_ENABLED": "1",
        "SUPERVISOR_PROCESS_NAME": process_id.name,
        "SUPERVISOR_GROUP_NAME": process_id.group,
        **({"SUPERVISOR_SERVER_URL": url} if url else {}),
    }
    return tuple({**variables, **around.environment, **own}.items())


def _log(
    reader: SectionReader,
    stream: Stream,
    common: _Common,
    process_id: ProcessId,
    around: Surroundings,
) -> LogSpec:
    target = reader.get_log_path(stream.logfile)
    size = max(0, reader.get(stream.maxbytes))
    if target is LogTarget.SYSLOG:
        reader.warn(
            stream.logfile,
            f"For [{reader.section.name}], {stream.logfile.name}=syslog but this is deprecated "
            f"and will be removed.  Use {stream.syslog.name}=true to enable syslog instead.",
        )
    if target is LogTarget.AUTO and size == 0:
        reader.warn(
            stream.maxbytes,
            f"For [{reader.section.name}], AUTO logging used for {stream.logfile.name} without "
            "rollover, set maxbytes > 0 to avoid filling up filesystem unintentionally",
        )
    path = auto_path(
        process_id,
        stream.name,
        folder=around.child_log_dir,
        identifier=around.identifier,
        config_path=around.config_path,
    )
    if target is not LogTarget.AUTO:
        path = target if isinstance(target, str) else ""
    return LogSpec(
        path=path or None,
        rotate_size=size,
        rotate_keep=max(0, reader.get(stream.backups)),
        strip_ansi=around.strip_ansi,
        private=target is LogTarget.AUTO,
        told=common.told[stream],
        message_limit=max(0, common.captured[stream]),
        syslog=reader.get(stream.syslog) or target is LogTarget.SYSLOG,
    )


def _warn_of_ignored_file(reader: SectionReader) -> None:
    target = reader.get_log_path(STDERR.logfile)
    if isinstance(target, str) and target:
        reader.warn(
            STDERR.logfile,
            f"For [{reader.section.name}], redirect_stderr=true but stderr_logfile has also been "
            "set to a filename, the filename has been ignored",
        )
