"""Every command once: its name, who carries it out, its help, and what may follow it.

The parser, `help`, `--help`, completion and the prompt all read this table.
"""

from enum import Enum
from typing import NamedTuple

_LEAST_ROOM = 20  # columns for what a form does, on however narrow a screen


class Follows(Enum):
    """What the words after a command are, for completion."""

    NOTHING = "nothing"
    PROCESSES = "processes"
    ONE_PROCESS = "one process"
    LOG = "a process, then a stream"
    SIGNAL = "a signal, then processes"
    GROUPS = "groups"
    COMMANDS = "commands"
    FILE = "a file"
    SHELL = "a shell"


class Option(NamedTuple):
    """A flag that may stand anywhere behind a command.

    `value` says what follows it, "" where nothing does; `choices` are what that may be, if few.
    `short` is its one letter, with the dash, if it has one.
    """

    name: str
    value: str
    says: str
    choices: tuple[str, ...] = ()
    short: str = ""

    @property
    def usage(self) -> str:
        """`--timeout <time>`, or `-n, --lines <count>`."""
        name = f"{self.short}, {self.name}" if self.short else self.name
        return f"{name} {self.value}" if self.value else name


class Command(NamedTuple):
    """One command. `home` is the module below `commands` that defines a function of its name.

    One that is `alone` asks no daemon: none is looked for, and its words are files as they stand.
    One that is `verbatim` gets its words as they were typed, blanks in quotes included; all others
    are split once more, as supervisorctl does it.
    """

    name: str
    home: str
    summary: str
    forms: tuple[tuple[str, str], ...]  # what to type, what it does
    follows: Follows = Follows.NOTHING
    note: str = ""
    alone: bool = False
    options: tuple[Option, ...] = ()
    verbatim: bool = False

    @property
    def help_lines(self) -> list[str]:
        """The forms in one column, what they do in the next; the options; and the note."""
        pairs = self._help_pairs()
        width = max(len(form) for form, _ in pairs)
        lines = [f"{form:<{width}}  {effect}" for form, effect in pairs]
        return [*lines, self.note] if self.note else lines

    def help_within(self, columns: int | None) -> list[str]:
        """The same for a screen of that width: what is too long goes on below where it began."""
        if columns is None:
            return self.help_lines
        import textwrap  # noqa: PLC0415 - most commands print no help

        pairs = self._help_pairs()
        width = max(len(form) for form, _ in pairs)
        room = max(_LEAST_ROOM, columns - width - 2)
        lines = []
        for form, effect in pairs:
            first, *rest = textwrap.wrap(effect, room) or [""]
            lines += [f"{form:<{width}}  {first}", *(" " * (width + 2) + more for more in rest)]
        return [*lines, *textwrap.wrap(self.note, max(_LEAST_ROOM, columns))]

    def _help_pairs(self) -> list[tuple[str, str]]:
        return [*self.forms, *((f"  {option.usage}", option.says) for option in self.options)]


_SECRETS = Option("--secrets", "", "Show the values of environment variables as well")

_COMMANDS = (
    Command(
        "status",
        "processes",
        "show processes and their states",
        (
            ("status", "Show every process"),
            ("status <name>", "Show one process"),
            ("status <group>:*", "Show all processes of a group"),
            ("status <name> <name>", "Show several processes, groups or patterns"),
        ),
        Follows.PROCESSES,
        options=(
            Option("--problems", "", "Only those in trouble: FATAL, BACKOFF, not ready ..."),
            Option("--state", "<states>", "Only those in these states: fatal,backoff"),
        ),
    ),
    Command(
        "start",
        "processes",
        "start processes",
        (
            ("start <name>", "Start a process"),
            ("start <group>:*", "Start all processes of a group"),
            ("start <name> <name>", "Start several processes, groups or patterns"),
            ("start all", "Start all processes"),
        ),
        Follows.PROCESSES,
    ),
    Command(
        "stop",
        "processes",
        "stop processes",
        (
            ("stop <name>", "Stop a process"),
            ("stop <group>:*", "Stop all processes of a group"),
            ("stop <name> <name>", "Stop several processes, groups or patterns"),
            ("stop all", "Stop all processes"),
        ),
        Follows.PROCESSES,
    ),
    Command(
        "restart",
        "processes",
        "stop processes, then start them",
        (
            ("restart <name>", "Restart a process"),
            ("restart <group>:*", "Restart all processes of a group"),
            ("restart <name> <name>", "Restart several processes, groups or patterns"),
            ("restart all", "Restart all processes"),
        ),
        Follows.PROCESSES,
        "restart does not read the configuration again: that is what update does.",
    ),
    Command(
        "wait",
        "waiting",
        "wait until processes are running, ready, exited or stopped",
        (
            ("wait <name>", "Wait until a process is RUNNING"),
            ("wait <name> --for ready --timeout 30s", "Wait until it is ready, 30 s at most"),
            ("wait <group>:* <name>", "Wait until all of several are, groups or patterns too"),
        ),
        Follows.PROCESSES,
        "The exit status is 8 once it can't come any more, and 124 when the time is over.",
        options=(
            Option(
                "--for",
                "<state>",
                "running (the default), ready, exited or stopped",
                ("running", "ready", "exited", "stopped"),
            ),
            Option("--timeout", "<time>", "Give up after this long: 500ms, 30s, 10m"),
        ),
    ),
    Command(
        "signal",
        "processes",
        "send a signal to processes",
        (
            ("signal <signal> <name>", "Send a signal, such as HUP, to a process"),
            ("signal <signal> <group>:*", "Send it to all processes of a group"),
            ("signal <signal> <name> <name>", "Send it to several processes"),
            ("signal <signal> all", "Send it to all processes"),
        ),
        Follows.SIGNAL,
    ),
    Command(
        "pid",
        "processes",
        "print process ids",
        (
            ("pid", "Print the process id of opsvisord"),
            ("pid <name>", "Print the process id of a process, 0 if it has none"),
            ("pid all", "Print the process id of every process, one per line"),
        ),
        Follows.PROCESSES,
    ),
    Command(
        "why",
        "diagnosis",
        "explain the state of a process, its last runs, and what to do",
        (
            ("why <name>", "Explain the state of a process: what follows, what to do, last runs"),
            ("why <group>", "List all that is wrong with a group, or with what matches a pattern"),
            ("why", "List all that is wrong, worst first"),
        ),
        Follows.ONE_PROCESS,
        options=(Option("--all", "", "Show all of it, also what doesn't fit the screen"),),
    ),
    Command(
        "metrics",
        "measurements",
        "show what is measured of processes, as it is now",
        (
            ("metrics <name>", "Show CPU, memory, restarts, output ... of a process"),
            ("metrics <group>:*", "Show them of all processes of a group"),
            ("metrics <name> <name>", "Show them of several processes, groups or patterns"),
            ("metrics all", "Show them of all processes"),
            ("metrics", "Show those of opsvisord itself"),
        ),
        Follows.PROCESSES,
        "These are the numbers that Prometheus gets; in a pipe they look as there.",
    ),
    Command(
        "events",
        "diagnosis",
        "follow what happens",
        (
            ("events", "Print events as they happen (Ctrl-C to leave)"),
            ("events --replay <n>", "Print the last n events first"),
        ),
    ),
    Command(
        "top",
        "watching",
        "watch all processes and act on them, on the whole screen",
        (
            ("top", "Watch all processes; the key ? lists what can be done"),
            ("top <name> <group>:*", "Watch these processes, groups or patterns only"),
        ),
        Follows.PROCESSES,
    ),
    Command(
        "logs",
        "reading",
        "print what processes say: several at once, followed, since when, searched",
        (
            ("logs <name>", "Print the last lines of a process"),
            ("logs <name> <group>:*", "Print those of several processes, groups or patterns"),
            ("logs", "Print those of all processes"),
        ),
        Follows.PROCESSES,
        "With --json each line is an object: name, stream, at (0 if not known), text.",
        options=(
            Option("--follow", "", "Go on with what is written from now on", short="-f"),
            Option("--lines", "<count>", "Of each log the last ones (default: 10)", short="-n"),
            Option("--since", "<time>", "Since 10m (ago), 03:00, or 2026-11-26T03:00"),
            Option("--stdout", "", "Only what goes to standard output"),
            Option("--stderr", "", "Only what goes to standard error"),
            Option("--grep", "<regex>", "Only lines in which this is found"),
            Option("--ignore-case", "", "Search in any case", short="-i"),
            Option("--invert-match", "", "Only lines in which it is not found", short="-v"),
            Option("--raw", "", "Show escape sequences to the terminal, whatever they do there"),
        ),
        verbatim=True,
    ),
    Command(
        "tail",
        "logs",
        "print the end of a process's output",
        (
            ("tail <name> [stdout|stderr]", "Print the last 1600 bytes (of stdout by default)"),
            ("tail -100 <name>", "Print the last 100 bytes"),
            ("tail -f <name>", "Print what is written from now on (Ctrl-C to leave)"),
        ),
        Follows.LOG,
    ),
    Command(
        "maintail",
        "logs",
        "print the end of opsvisord's own log",
        (
            ("maintail", "Print the last 1600 bytes"),
            ("maintail -100", "Print the last 100 bytes"),
            ("maintail -f", "Print what is written from now on (Ctrl-C to leave)"),
        ),
    ),
    Command(
        "clear",
        "logs",
        "empty the logs of processes",
        (
            ("clear <name>", "Empty the logs of a process"),
            ("clear <name> <name>", "Empty the logs of several processes"),
            ("clear all", "Empty the logs of all processes"),
        ),
        Follows.PROCESSES,
    ),
    Command(
        "fg",
        "foreground",
        "talk to a process: your lines go in, its output comes out",
        (("fg <name>", "Connect to a process (Ctrl-C to leave)"),),
        Follows.ONE_PROCESS,
    ),
    Command(
        "reread",
        "configuration",
        "read the configuration and say what it would change",
        (("reread", "Read the configuration; nothing is started or stopped"),),
    ),
    Command(
        "avail",
        "configuration",
        "list the configured processes, in use or not",
        (("avail", "List all configured processes"),),
    ),
    Command(
        "update",
        "configuration",
        "read the configuration and carry it out",
        (
            ("update", "Read the configuration; add, change and remove what differs"),
            ("update all", "The same"),
            ("update <group> <group>", "Do so for these groups only"),
        ),
        Follows.GROUPS,
    ),
    Command(
        "diff",
        "changes",
        "read the configuration and show what apply would change",
        (("diff", "Show each process and option that would change, and what restarts"),),
        note="Nothing is changed. The exit status is 6 where something differs, else 0.",
        options=(_SECRETS,),
    ),
    Command(
        "apply",
        "changes",
        "show what the configuration changes, ask, and carry it out",
        (
            ("apply", "Read the configuration, show the differences, and carry them out"),
            ("apply <group> <group>", "Do so for these groups only"),
        ),
        Follows.GROUPS,
        "Only a terminal is asked. The exit status is 1 if a process failed.",
        options=(Option("--yes", "", "Don't ask"), _SECRETS),
    ),
    Command(
        "add",
        "configuration",
        "take into use groups that reread found",
        (("add <group> <group>", "Take into use groups that the last reread found"),),
        Follows.GROUPS,
    ),
    Command(
        "remove",
        "configuration",
        "take stopped groups out of use",
        (("remove <group> <group>", "Take groups out of use; they must be stopped"),),
        Follows.GROUPS,
    ),
    Command(
        "reload",
        "daemon",
        "restart opsvisord",
        (("reload", "Stop everything, read the configuration, and begin anew"),),
    ),
    Command(
        "upgrade",
        "daemon",
        "replace opsvisord by the version that is installed now",
        (("upgrade", "Replace opsvisord by the installed version; programs run on"),),
        note="It is refused, and nothing changes, if that version can't take over.",
    ),
    Command(
        "shutdown",
        "daemon",
        "stop opsvisord and everything it runs",
        (("shutdown", "Stop all processes, then opsvisord"),),
    ),
    Command(
        "version",
        "daemon",
        "print the version of opsvisord",
        (("version", "Print the version of the opsvisord that answers"),),
    ),
    Command(
        "open",
        "daemon",
        "talk to another opsvisord",
        (("open <url>", "Talk to another opsvisord: unix:///path or http://host:port"),),
    ),
    Command(
        "migrate",
        "migrate",
        "write the opsvisor.toml for a file of Supervisor's",
        (
            (
                "migrate <file>",
                "Print the opsvisor.toml that asks for the same as supervisord.conf",
            ),
            ("migrate <file> --output <file>", "Write it to a file that isn't there yet"),
            ("migrate <file> --output <file> --force", "Write it, whatever is there"),
            ("migrate <file> --directory <dir>", "As if supervisord were started in <dir>"),
        ),
        follows=Follows.FILE,
        note="What can't be said is listed on standard error, and the exit status is 5 then.",
        alone=True,
    ),
    Command(
        "hash-token",
        "tokens",
        "make a token, and what stands for it in a configuration",
        (
            ("hash-token", "Print a new token, and the token_hash for [identity.NAME]"),
            ("hash-token -", "Print the token_hash of the token on standard input"),
        ),
        note="A file with a token_hash may be read by anybody: nobody comes in by that.",
        alone=True,
    ),
    Command(
        "completion",
        "shells",
        "print the script that completes both programs' words in a shell",
        (
            ("completion bash", 'For ~/.bashrc: eval "$(opsvisorctl completion bash)"'),
            ("completion zsh", "For ~/.zshrc, after compinit: the same with zsh"),
            ("completion fish", "For config.fish: opsvisorctl completion fish | source"),
        ),
        Follows.SHELL,
        "Packages install them where shells look, and nothing need be done.",
        alone=True,
    ),
    Command(
        "help",
        "topics",
        "list the commands or explain one",
        (
            ("help", "List the commands"),
            ("help <command>", "Explain a command"),
        ),
        Follows.COMMANDS,
    ),
    Command(
        "exit",
        "leaving",
        "leave the prompt",
        (("exit", "Leave the prompt"),),
    ),
    Command(
        "quit",
        "leaving",
        "leave the prompt",
        (("quit", "Leave the prompt"),),
    ),
)

COMMANDS = {command.name: command for command in _COMMANDS}
