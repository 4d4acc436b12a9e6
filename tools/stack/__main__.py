"""`make stack`: the example with its predicaments, watched by Prometheus and Alertmanager.

Everything runs natively, from Debian's packages, until Ctrl-C: the daemon with a program in every
predicament, a Prometheus with the rules of alerts/, an Alertmanager with its example
configuration, and a receiver that prints what people would be told.
"""

import argparse
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.text import Text

from tools.stack.ask import ask
from tools.stack.errors import StackError
from tools.stack.program import HOST, Program
from tools.stack.prometheus import Prometheus
from tools.stack.receiver import Notice
from tools.stack.scenario import Scenario
from tools.stack.stack import Stack, StackSettings
from tools.stack.waiting import until

_ROOT = Path(__file__).parents[2]
_ALERTS = _ROOT / "alerts"
_EXAMPLE_RECEIVER = f"{HOST}:9095"  # as alerts/alertmanager.example.yml has it
_GROUP_INTERVAL = "10s"
_LOOK_AFTER_THEM = 1.0  # seconds
_PORT_END = 1 << 16
_FURTHER = 10000
_COLOURS = {"firing": "red", "resolved": "green"}
_PORTS = {
    "opsvisor": (9001, "opsvisord's API and /metrics"),
    "prometheus": (9090, "Prometheus"),
    "alertmanager": (9093, "Alertmanager"),
    "receiver": (9095, "the receiver of notifications"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the command line asks for. `ports` by the names of `_PORTS`."""

    directory: Path
    interval: str
    ports: Mapping[str, int]
    visitors: bool


def main(words: Sequence[str]) -> int:
    """Run the stack until it is told to end; the exit status."""
    wish = _read(words)
    console = Console(highlight=False)
    try:
        _check_ports(wish.ports)
        with _told_to_end() as told, _running(wish, console) as programs:
            while not told.wait(_LOOK_AFTER_THEM):
                _check_running(programs)
            console.print("ending …")
    except StackError as error:
        print(f"make stack: {error}", file=sys.stderr)
        return 1
    return 0


def _read(words: Sequence[str]) -> Wish:
    parser = argparse.ArgumentParser(
        prog="python -m tools.stack",
        description="opsvisord with a program in every predicament, Prometheus and Alertmanager.",
        epilog='Through make: make stack ARGS="--prometheus-port 19090"',
    )
    directory = _ROOT / "run" / "stack"
    parser.add_argument(
        "--directory", type=Path, default=directory, help="for data and logs (run/stack)"
    )
    parser.add_argument("--interval", default="5s", help="between two scrapes (5s)")
    parser.add_argument("--visitors", action="store_true", help="have the API used all the time")
    for name, (port, whose) in _PORTS.items():
        parser.add_argument(f"--{name}-port", type=_port, default=port, help=f"{whose} ({port})")
    found = parser.parse_args(words)
    return Wish(
        directory=found.directory.resolve(),
        interval=found.interval,
        ports={name: getattr(found, f"{name}_port") for name in _PORTS},
        visitors=found.visitors,
    )


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < _PORT_END:
        raise ValueError(text)
    return port


_port.__name__ = "port"  # what argparse calls it when a text is none


def _check_ports(ports: Mapping[str, int]) -> None:
    """Raise StackError if any of the ports is taken, with all that are and by whom."""
    listening = {
        one.laddr.port: one.pid
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr
    }
    taken = [name for name, port in ports.items() if port in listening]
    if not taken:
        return
    lines = [
        f"port {ports[name]} for {_PORTS[name][1]} is taken by {_who(listening[ports[name]])}"
        for name in taken
    ]
    others = " ".join(f"--{name}-port {_another(ports[name])}" for name in taken)
    raise StackError("\n    ".join(lines), f'end that, or: make stack ARGS="{others}"')


def _another(port: int) -> int:
    """One that is likely to be free."""
    return port + _FURTHER if port + _FURTHER < _PORT_END else port - _FURTHER


def _who(pid: int | None) -> str:
    """The program behind a process id, which others' sockets don't tell."""
    if pid is None:
        return "a program of another user"
    with contextlib.suppress(psutil.Error):
        return f"{psutil.Process(pid).name()} (pid {pid})"
    return f"pid {pid}"


@contextlib.contextmanager
def _told_to_end() -> Iterator[threading.Event]:
    """Something that is set by Ctrl-C or SIGTERM, which do nothing else meanwhile."""
    told = threading.Event()
    kept = {
        signum: signal.signal(signum, lambda *_: told.set())
        for signum in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield told
    finally:
        for signum, handler in kept.items():
            signal.signal(signum, handler)


@contextlib.contextmanager
def _running(wish: Wish, console: Console) -> Iterator[Sequence[Program]]:
    """All of it, told about on the console."""
    wish.directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as ends:
        console.print("starting …\n")
        scenario = ends.enter_context(Scenario.start(wish.directory, port=wish.ports["opsvisor"]))
        scenario.hold_one_back()
        settings = StackSettings(
            targets=[scenario.target],
            rules=[_ALERTS / "opsvisor.rules.yml", _ALERTS / "opsvisor.alerts.yml"],
            alertmanager_yml=alertmanager_yml(wish.ports["receiver"]),
            interval=wish.interval,
            prometheus_port=wish.ports["prometheus"],
            alertmanager_port=wish.ports["alertmanager"],
            receiver_port=wish.ports["receiver"],
        )
        stack = ends.enter_context(
            Stack.start(
                wish.directory, settings, on_notice=lambda notice: print_notice(console, notice)
            )
        )
        if wish.visitors:
            ends.enter_context(scenario.visitors())
        until(lambda: stack.prometheus.query('up{job="opsvisor"} == 1'))
        for line in _where_everything_is(scenario, stack, wish.directory):
            console.print(line, soft_wrap=True)
        console.print(
            "\nThe first alerts come within two minutes and are told below. Ctrl-C ends all.\n"
        )
        yield (scenario.program, *stack.programs)


def alertmanager_yml(receiver_port: int) -> str:
    """The example configuration, for the receiver that we run and somebody who watches it."""
    text = (_ALERTS / "alertmanager.example.yml").read_text()
    for old, new in (
        (_EXAMPLE_RECEIVER, f"{HOST}:{receiver_port}"),
        # A second process in a predicament is told five minutes after the first one otherwise.
        ("group_interval: 5m", f"group_interval: {_GROUP_INTERVAL}"),
    ):
        if old not in text:
            raise StackError(f"alerts/alertmanager.example.yml does not say {old}")
        text = text.replace(old, new)
    return text


def _check_running(programs: Sequence[Program]) -> None:
    for program in programs:
        if not program.is_running:
            raise StackError(f"{program.name} ended. It said:\n{program.said()}")


def _where_everything_is(scenario: Scenario, stack: Stack, directory: Path) -> list[Text]:
    ctl = Path(sys.executable).with_name("opsvisorctl")
    places = {
        "opsvisord": f"http://{scenario.address}/metrics",
        "Prometheus": _alerts_page(stack.prometheus),
        # Debian's has no pages of its own (see its NEWS.Debian).
        "Alertmanager": f"amtool --alertmanager.url={stack.alertmanager.url} alert",
        "Grafana": f"import grafana/dashboards/*.json, with {stack.prometheus.url} as data source",
        "look around": f"{_short(ctl)} -c {_short(scenario.config)}",
        "data and logs": _short(directory),
    }
    return [Text.assemble((f"{name:<15}", "bold"), place) for name, place in places.items()]


def _alerts_page(prometheus: Prometheus) -> str:
    """Debian builds Prometheus with its old pages only, which are elsewhere."""
    with contextlib.suppress(StackError):
        ask(prometheus.address, "/classic/alerts")
        return f"{prometheus.url}/classic/alerts"
    return f"{prometheus.url}/alerts"


def _short(path: Path) -> str:
    """As one would type it here."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def print_notice(console: Console, notice: Notice) -> None:
    """One line of what people would be told."""
    who = ":".join(notice.labels[one] for one in ("group", "process") if one in notice.labels)
    line = Text(time.strftime("%H:%M:%S  "))
    line.append(f"{notice.status:<10}", style=_COLOURS[notice.status])
    line.append(f"{notice.labels.get('severity', ''):<10}{notice.name}")
    line.append(f"  {who}", style="bold")
    line.append(f"  {notice.annotations.get('summary', '')}", style="dim")
    console.print(line, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
