"""A real Alertmanager, and what one asks of it."""

from pathlib import Path
from typing import Literal, Self

import msgspec

from tools.stack.ask import ask
from tools.stack.program import HOST, Installed, Program, Server

ALERTMANAGER = Installed(name="prometheus-alertmanager", package="prometheus-alertmanager")


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    state: Literal["unprocessed", "active", "suppressed"]
    inhibited_by: list[str]


class Held(msgspec.Struct, frozen=True):
    """An alert as Alertmanager holds it."""

    labels: dict[str, str]
    annotations: dict[str, str]
    fingerprint: str
    status: _Status

    @property
    def name(self) -> str:
        """Its alertname."""
        return self.labels["alertname"]

    @property
    def is_inhibited(self) -> bool:
        """Whether another alert keeps it from being told to anybody."""
        return self.status.state == "suppressed" and bool(self.status.inhibited_by)


class Alertmanager(Server):
    """An Alertmanager that runs. A context manager: stopped at the end."""

    @classmethod
    def start(cls, directory: Path, config: str, *, port: int = 0) -> Self:
        """Start it with this configuration, its data in `directory`; it is ready then.

        Raises StackError, with what it said, if it can't be started or refuses the configuration.
        """
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / "alertmanager.yml"
        file.write_text(config)
        command = [
            ALERTMANAGER.path(),
            f"--config.file={file}",
            f"--storage.path={directory / 'alertmanager'}",
            f"--web.listen-address={HOST}:{port}",
            # Its address for others is made of the name of the machine otherwise.
            f"--web.external-url=http://{HOST}:{port}",
            # One is enough; by default it would look for others on all interfaces, port 9094.
            "--cluster.listen-address=",
        ]
        program = Program("prometheus-alertmanager", command, log=directory / "alertmanager.log")
        return cls(program.until_ready("/-/ready"))

    def alerts(self) -> list[Held]:
        """All alerts it holds, those included that it tells nobody of."""
        return msgspec.json.decode(ask(self.address, "/api/v2/alerts"), type=list[Held])
