"""Every command once: its name, who carries it out, its help, and what may follow it.

The parser, `help`, `--help`, completion and the prompt all read this table.
"""

from enum import Enum
from typing import NamedTuple


class Follows(Enum):
    """What the words after a command are, for completion."""

    NOTHING = "nothing"
    PROCESSES = "processes"
    ONE_PROCESS = "one process"
    LOG = "a process, then a stream"
    SIGNAL = "a signal, then processes"
    GROUPS = "groups"
    COMMANDS = "commands"


class Command(NamedTuple):
    """One command. `home` is the module below `commands` that defines a function of its name.

    One that is `alone` asks no daemon: none is looked for, and its words are files as they stand.
    """

    name: str
    home: str
    summary: str
    forms: tuple[tuple[str, str], ...]  # what to type, what it does
    follows: Follows = Follows.NOTHING
    note: str = ""
    alone: bool = False

    @property
    def help_lines(self) -> list[str]:
        """The forms in one column, what they do in the next, and the note."""
        width = max(len(form) for form, _ in self.forms)
        lines = [f"{form:<{width}}  {effect}" for form, effect in self.forms]
        return [*lines, self.note] if self.note else lines


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
        (("why <name>", "Explain the state of a process: last runs, last words, what follows"),),
        Follows.ONE_PROCESS,
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
        note="What can't be said is listed on standard error, and the exit status is 5 then.",
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
