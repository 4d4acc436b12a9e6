"""Where opsvisord reads a configuration otherwise than Supervisor 4.3.0, on purpose.

`Readings` are one configuration read by both, and `disagreements` says in what they differ. Each
of `DIFFERENCES` is a reason why they may: it looks at the disagreement and at what is written in
the files, so that our own wording alone excuses nothing.
"""

import configparser
import contextlib
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facts_compared import (
    our_daemon,
    our_process,
    our_server,
    their_daemon,
    their_process,
    their_servers,
)
from ini_files import ENVIRON, IniFiles
from real_supervisor import all_config_info, options
from supervisor.events import (  # type: ignore[import-untyped]  # comes without annotations
    getEventNameByType,
)

from opsvisor.compat.supervisor.config.daemon import server_url
from opsvisor.compat.supervisor.rpc.shapes import process_config
from opsvisor.config.problems import ConfigError
from opsvisor.config.settings import Loaded
from opsvisor.core.spec import UnixSocketSpec

ACCEPTED = "accepted"


@dataclass(frozen=True)
class Readings:
    """One configuration, and what came of it: a result, or why there is none."""

    files: IniFiles
    ours: Loaded | ConfigError
    theirs: Any  # options of Supervisor, or an exception


@dataclass(frozen=True)
class Disagreement:
    """One fact about a configuration that the two see differently; None is no such fact."""

    about: str
    ours: object
    theirs: object


def disagreements(readings: Readings) -> list[Disagreement]:
    """All that the two readings differ in. How a refusal is worded is no matter here."""
    ours, theirs = readings.ours, readings.theirs
    if isinstance(ours, ConfigError) and isinstance(theirs, Exception):
        return []
    if isinstance(ours, ConfigError):
        # Each problem alone would be enough to refuse the file, so each needs a reason.
        return [Disagreement("outcome", problem.what, ACCEPTED) for problem in ours.problems]
    if isinstance(theirs, Exception):
        return [Disagreement("outcome", ACCEPTED, f"{type(theirs).__name__}: {theirs}")]
    of_ours, of_theirs = our_facts(ours, theirs.parse_warnings), their_facts(theirs)
    return [
        Disagreement(about, of_ours.get(about), of_theirs.get(about))
        for about in of_ours | of_theirs
        if of_ours.get(about) != of_theirs.get(about)
    ]


def our_facts(loaded: Loaded, their_warnings: list[str]) -> dict[str, object]:
    """All that we know of a configuration, and which warnings of Supervisor's we give too."""
    said = {warning.what for warning in loaded.warnings}
    facts: dict[str, object] = {f"warning {w}": True for w in their_warnings if w in said}
    facts |= _named("daemon", our_daemon(loaded))
    for server in map(our_server, loaded.settings.servers):
        facts |= _named(f"server {server['section']}", server)
    facts["groups"] = [group.name for group in loaded.plan.groups]
    own_url = server_url(loaded.settings.servers)
    for group in loaded.plan.groups:
        facts[f"group {group.name}.priority"] = group.priority
        if group.feed:
            facts[f"group {group.name}.events"] = set(group.feed.kinds)
            facts[f"group {group.name}.buffer_size"] = group.feed.buffer_size
        if group.processes and (shared := group.processes[0].socket):
            facts[f"group {group.name}.socket"] = shared.url
            facts[f"group {group.name}.backlog"] = shared.backlog
            if isinstance(shared, UnixSocketSpec):
                facts[f"group {group.name}.mode"] = shared.mode
                facts[f"group {group.name}.owner"] = shared.owner
        for spec in group.processes:
            facts |= _named(f"process {group.name}:{spec.id.name}", our_process(spec))
            info = process_config(group, spec, in_use=False, own_url=own_url)
            del info["autorestart"]  # which Supervisor tells since 4.4 only
            facts |= _named(f"info {group.name}:{spec.id.name}", info)
    return facts


def their_facts(theirs: Any) -> dict[str, object]:
    """The same of Supervisor's, as far as it is run: one of two that have the same name."""
    facts: dict[str, object] = {f"warning {warning}": True for warning in theirs.parse_warnings}
    facts |= _named("daemon", their_daemon(theirs))
    for server in their_servers(theirs):
        facts |= _named(f"server {server['section']}", server)
    groups: dict[str, Any] = {}
    for group in theirs.process_group_configs:  # sorted: the first of a name is activated
        groups.setdefault(group.name, group)
    facts["groups"] = list(groups)
    for name, group in groups.items():
        facts[f"group {name}.priority"] = group.priority
        if isinstance(group, options.EventListenerPoolConfig):
            facts[f"group {name}.events"] = {getEventNameByType(e) for e in group.pool_events}
            facts[f"group {name}.buffer_size"] = group.buffer_size
        if isinstance(group, options.FastCGIGroupConfig) and group.process_configs:
            shared = group.socket_config
            facts[f"group {name}.socket"] = shared.url
            facts[f"group {name}.backlog"] = shared.get_backlog()
            if shared.url.startswith("unix:"):
                facts[f"group {name}.mode"] = shared.get_mode()
                facts[f"group {name}.owner"] = shared.get_owner()
        # The last of a name replaces the others.
        for config in {config.name: config for config in group.process_configs}.values():
            process = their_process(name, config, theirs)
            facts |= _named(f"process {name}:{config.name}", process)
    for info in all_config_info(theirs, groups.values()):
        facts |= _named(f"info {info['group']}:{info['name']}", info)
    return facts


def _named(prefix: str, facts: Mapping[str, object]) -> dict[str, object]:
    named: dict[str, object] = {}
    for key, value in facts.items():
        match key, value:
            case "stdout" | "stderr", (path, size, keep):  # a log is three facts
                parts = {"path": path, "size": size, "keep": keep}
                named |= {f"{prefix}.{key}.{part}": one for part, one in parts.items()}
            case _:
                named[f"{prefix}.{key}"] = value
    return named


# -- the reasons -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """A reason for the two to disagree, how to see that it is the one, and a file that shows it.

    The example is what comes behind an empty [supervisord].
    """

    why: str
    explains: Callable[[Disagreement, IniFiles], bool]
    example: str


def explanations(found: Disagreement, files: IniFiles) -> list[str]:
    """The names of the reasons that this disagreement has."""
    return [name for name, one in DIFFERENCES.items() if one.explains(found, files)]


def _we_refuse(what: str, because: str) -> Callable[[Disagreement, IniFiles], bool]:
    """We refuse in words like these, because of something like that in the files."""

    def explains(found: Disagreement, files: IniFiles) -> bool:
        return bool(
            found.about == "outcome"
            and found.theirs == ACCEPTED
            and re.search(what, str(found.ours))
            and re.search(because, files.texts())
        )

    return explains


def _they_refuse(what: str, because: str) -> Callable[[Disagreement, IniFiles], bool]:
    """They refuse in words like these, because of something like that in the files."""

    def explains(found: Disagreement, files: IniFiles) -> bool:
        return bool(
            found.about == "outcome"
            and found.ours == ACCEPTED
            and re.search(what, str(found.theirs))
            and re.search(because, files.texts())
        )

    return explains


def _zero_for_negative(found: Disagreement, _: IniFiles) -> bool:
    """Supervisor keeps a number below zero, and it does then what zero does."""
    numbers = (int, float)
    ours, theirs = found.ours, found.theirs
    return isinstance(ours, numbers) and ours == 0 and isinstance(theirs, numbers) and theirs < 0


def _no_path_for_empty(found: Disagreement, _: IniFiles) -> bool:
    """`directory=`, `stdout_logfile=` and `serverurl=` name nothing."""
    if re.match(r"warning .* stderr_logfile has also been set", found.about):
        return found.ours is None  # set to nothing, in fact
    about = found.about.rpartition(".")[2]
    options = ("directory", "path", "stdout_logfile", "stderr_logfile", "serverurl")
    return about in options and found.ours in (None, "none") and found.theirs == ""


def _same_exit_codes(found: Disagreement, _: IniFiles) -> bool:
    ours, theirs = found.ours, found.theirs
    return (
        found.about.endswith(".exitcodes")
        and isinstance(theirs, list)
        and ours == sorted(set(theirs))
    )


def _capture_of_a_listener(found: Disagreement, files: IniFiles) -> bool:
    pool = found.about.removeprefix("info ").partition(":")[0]
    return (
        found.about.startswith("info ")
        and found.about.endswith((".stdout_capture_maxbytes", ".stdout_events_enabled"))
        and found.ours in (0, False)
        and found.theirs is not None
        and bool(re.search(rf"(?m)^\[eventlistener: ?{re.escape(pool)} ?\]", files.texts()))
    )


def _own_log_of_redirected(found: Disagreement, files: IniFiles) -> bool:
    """A spec that sends standard error to standard output has no second log to speak of."""
    return (
        found.about.startswith("info ")
        and ".stderr_" in found.about
        and bool(re.search("(?i)redirect_stderr", files.texts()))
        and found.ours in (0, False, 10, 50 * 1024 * 1024)
    )


def _own_url_in_words(found: Disagreement, files: IniFiles) -> bool:
    return (
        found.about.endswith(".serverurl")
        and found.ours == "none"
        and bool(re.search("(?i)serverurl", files.texts()))
        and "http_server" in files.texts()
    )


def _socket_of_a_member(found: Disagreement, files: IniFiles) -> bool:
    is_told = bool(re.fullmatch(r"group .*\.(socket|backlog|mode|owner)", found.about))
    is_refused = found.theirs == ACCEPTED and "socket" in str(found.ours)
    return (
        (is_refused or (is_told and found.theirs is None))
        and "[fcgi-program:" in files.texts()
        and "[group:" in files.texts()
    )


def _absolute_folder(found: Disagreement, _: IniFiles) -> bool:
    """[supervisord] directory, which Supervisor leaves relative to where it will be then."""
    return (
        found.about == "daemon.directory"
        and isinstance(found.theirs, str)
        and str(Path(found.theirs).absolute()) == found.ours
    )


def _no_login_without_a_name(found: Disagreement, files: IniFiles) -> bool:
    """Supervisor keeps the password beside an empty name, and asks nobody for it."""
    return (
        found.about.startswith("server ")
        and found.about.endswith((".username", ".password"))
        and found.ours is None
        and bool(re.search(r"(?im)^\s*username", files.texts()))
    )


def _environment_of_4_4(found: Disagreement, files: IniFiles) -> bool:
    """An `environment=` is written so that 4.3's lexer and 4.4's read it differently."""
    touches = found.about.startswith(("process ", "info ")) or (
        # 4.3 can't read it, or it names a variable as only one of the two does.
        found.ours == ACCEPTED
        and re.search("key/value pairs|No closing quotation|'ENV_", str(found.theirs))
    )
    return bool(touches) and any(map(_is_of_two_minds, _values_of("environment", files)))


def _is_of_two_minds(text: str) -> bool:
    try:
        filled_in = text % _Anything()
    except (TypeError, ValueError):
        return False
    return _lexed(filled_in, posix=True) != _lexed(filled_in, posix=False)


def _lexed(text: str, *, posix: bool) -> list[str] | None:
    """The words of an environment, quotes taken off; None if it can't be read."""
    lexer = shlex.shlex(text, posix=posix)
    lexer.wordchars += "/.+-():"
    try:
        words = list(lexer)
    except ValueError:
        return None
    return words if posix else [word.strip("'\"") for word in words]


class _Anything(dict[str, str]):
    """The names that a value is expanded with, known or not."""

    def __missing__(self, name: str) -> str:
        return ENVIRON.get(name.removeprefix("ENV_"), "1")


def _values_of(key: str, files: IniFiles) -> Iterator[str]:
    """Every value that this key has in any section of any file."""
    for text in (files.main, *files.included.values()):
        parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
        # What can't be read to the end is no matter here.
        with contextlib.suppress(configparser.Error):
            parser.read_string(text)
        for section in ("DEFAULT", *parser.sections()):
            if key in parser[section]:
                yield parser[section][key]


def _no_arguments_of_interfaces(found: Disagreement, files: IniFiles) -> bool:
    """Something besides the factory in the section."""
    return (
        found.about == "outcome"
        and found.ours == ACCEPTED
        and bool(re.search(r"\[rpcinterface:|'rpcinterface:", str(found.theirs)))
        and "[rpcinterface:" in files.texts()
    )


def _pool_with_blanks(found: Disagreement, files: IniFiles) -> bool:
    return found.about.startswith(("group", "process ", "info ")) and bool(
        re.search(r"(?m)^\[eventlistener:( .*|.* )\]", files.texts())
    )


def _same_but_for_blanks(found: Disagreement, files: IniFiles) -> bool:
    labels = re.findall(
        r"(?m)^\[(program|fcgi-program|group|eventlistener):([^\]]*)\]", files.texts()
    )
    written = set(labels)
    names = {(kind, label.strip()) for kind, label in written}
    return len(names) < len(written) and (
        found.ours == ACCEPTED
        or found.about.startswith(("group", "process ", "info ", "warning "))
    )


DIFFERENCES: Mapping[str, Difference] = {
    "a percent sign that names nothing is refused": Difference(
        "`100% sure` would put the whole environment into the command",
        _we_refuse("names nothing", r"%[^%(]"),
        "[program:a]\ncommand=echo 100% sure\n",
    ),
    "numbers have bounds": Difference(
        "those beyond them only end in a traceback or in no memory",
        _we_refuse(r"value out of range|Invalid (chmod|socket_mode) value", r"-1|\d{5}|\d\wB"),
        "[program:a]\ncommand=x\nstartsecs=2147483648\n",
    ),
    "a number below zero is zero": Difference(
        "it has the same effect, and is no length of anything",
        _zero_for_negative,
        "[program:a]\ncommand=x\nstartretries=-1\n",
    ),
    "here and host_node_name are known everywhere": Difference(
        "there is no reason to know them in some options only",
        _they_refuse(r"names \(['\"]+(here|host_node_name)", r"%\((here|host_node_name)\)"),
        "[unix_http_server]\nfile=%(host_node_name)s\n",
    ),
    "a percent sign in a log path may be doubled once": Difference(
        "Supervisor expands these paths twice, so it has to be written four times there",
        _they_refuse(r"for '(stdout|stderr)_logfile' is badly", r"(?i)_logfile[\s\S]*%%"),
        "[program:a]\ncommand=x\nstdout_logfile=a%%b\n",
    ),
    "a percent sign in the daemon's environment may be doubled": Difference(
        "Supervisor expands it twice up to 4.3, and once from 4.4 on",
        _they_refuse(r"for 'environment' is badly formatted", r"(?i)environment[\s\S]*%%"),
        'environment=A="50%%"\n',
    ),
    "environment= is read as 4.4 reads it": Difference(
        "quotes, escapes and umlauts mean there what everybody takes them for",
        _environment_of_4_4,
        "[program:a]\ncommand=x\nenvironment=A=\"'q'\"\n",
    ),
    "every real-time signal has a number": Difference(
        "Supervisor knows only those with a name of their own",
        _they_refuse("not a valid signal number", r"(?i)stopsignal[\s\S]*\d"),
        "[program:a]\ncommand=x\nstopsignal=40\n",
    ),
    "an empty path or URL is none": Difference(
        "Supervisor writes no log either, and fails to enter such a folder",
        _no_path_for_empty,
        "[program:a]\ncommand=x\ndirectory=\n",
    ),
    "what a redirected stream's log would be is not told": Difference(
        "there is none, whatever is said of its size",
        _own_log_of_redirected,
        "[program:a]\ncommand=x\nredirect_stderr=true\nstderr_logfile_backups=3\n",
    ),
    "the daemon's own URL is AUTO, however it is written": Difference(
        "it comes to the same for the process",
        _own_url_in_words,
        "[program:a]\ncommand=x\nserverurl=http://localhost:1\n[inet_http_server]\nport=1\n",
    ),
    "exit codes are a set": Difference(
        "neither their order nor how often each is written matters",
        _same_exit_codes,
        "[program:a]\ncommand=x\nexitcodes=2,0,2\n",
    ),
    "capture has no effect on a listener's answers": Difference(
        "so the configuration that is told has none, and whoever set it is warned",
        _capture_of_a_listener,
        "[eventlistener:a]\ncommand=x\nevents=EVENT\nstdout_capture_maxbytes=1\n",
    ),
    "the socket of a group's FastCGI program is looked at": Difference(
        "Supervisor forgets it, and runs the program without",
        _socket_of_a_member,
        "[fcgi-program:a]\ncommand=x\n[group:g]\nprograms=a\n",
    ),
    "a relative folder begins where the daemon was started": Difference(
        "it goes there once, so it is the same folder", _absolute_folder, "directory=.\n"
    ),
    "a login without a name is no login": Difference(
        "Supervisor asks nobody for it either, and here that is warned of",
        _no_login_without_a_name,
        "[inet_http_server]\nport=1\nusername=\npassword=x\n",
    ),
    "what else is said about an RPC interface is not looked at": Difference(
        "Supervisor hands it to the factory; ours takes no arguments",
        _no_arguments_of_interfaces,
        "[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
        "note=%(nope)s\n",
    ),
    "two servers at one address are refused": Difference(
        "Supervisor reads them, and can't listen then, which at a reload ends all programs",
        _we_refuse("is to listen where", r"\[(inet|unix)_http_server[^]]"),
        "[inet_http_server]\nport=9001\n[inet_http_server:b]\nport=127.0.0.1:9001\n",
    ),
    "RPC interfaces of others are refused": Difference(
        "no code of others runs in the daemon, and a client that needs it would miss it later",
        _we_refuse("opsvisord loads no plugins", r"\[rpcinterface:"),
        "[rpcinterface:other]\nsupervisor.rpcinterface_factory=builtins:dict\n",
    ),
    "blanks around a program's name don't belong to it": Difference(
        "Supervisor takes them off as well, but looks for members of groups with them",
        _they_refuse("names unknown program", r"(?m)^\[(fcgi-)?program:( .*|.* )\]"),
        "[program: a ]\ncommand=x\n[group:g]\nprograms=a\n",
    ),
    "blanks around a pool's name don't belong to it": Difference(
        "nothing can address a group with a blank in its name",
        _pool_with_blanks,
        "[eventlistener: a]\ncommand=x\nevents=EVENT\n",
    ),
    "of two names that differ in blanks the first counts": Difference(
        "the second could not be addressed, so it is left out with a warning and not looked at",
        _same_but_for_blanks,
        "[program:a]\ncommand=x\n[program: a]\n",
    ),
}
