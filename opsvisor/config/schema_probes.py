"""Options of a program's probes: what is asked, how often, and what the answers have to be."""

from collections.abc import Mapping
from typing import Annotated

from opsvisor.config import kinds, network_kinds
from opsvisor.config.kinds import Command
from opsvisor.config.network_kinds import Endpoint
from opsvisor.config.option import Doc, PerProgram, Required, Section
from opsvisor.core.struct import Struct, field

_THRESHOLD = kinds.integer(1, 10_000)


class HttpOptions(Struct, frozen=True, kw_only=True):
    """[program.X.readiness_probe.http] and the others: a request, and the answers that are right.

    A plain string in its place is the URL.
    """

    url: Annotated[
        str,
        kinds.WORD,
        Doc(
            text="Asked with GET. A plain string in place of the table is this. By https the "
            "certificate has to be valid. Redirects are not followed, proxies not used.",
            source="Pebble",
        ),
        Required('http = "http://127.0.0.1:8080/healthz"'),
        PerProgram(),
    ] = ""
    status: Annotated[
        frozenset[int],
        network_kinds.HTTP_STATUSES,
        Doc(text="What a right answer is; without it anything from 200 to 399."),
        PerProgram(),
    ] = frozenset()
    headers: Annotated[
        Mapping[str, str],
        network_kinds.HTTP_HEADERS,
        Doc(
            text="Sent along, in place of our own where they are called the same.", source="Pebble"
        ),
        PerProgram(),
    ] = field(default_factory=dict)


class ProbeOptions(Struct, frozen=True, kw_only=True):
    """[program.X.startup_probe], readiness_probe, liveness_probe: one handler, and its times."""

    exec: Annotated[
        Command | None,
        kinds.COMMAND,
        Doc(
            text="A command that has to end with exit status 0. It is run as the program is: its "
            "user, directory, environment and limits.",
            source="Kubernetes",
        ),
        PerProgram(),
    ] = None
    http: Annotated[
        HttpOptions | None,
        Section(options=HttpOptions, shorthand="url"),
        Doc(text="A request that has to be answered with a status of the right kind."),
        PerProgram(),
    ] = None
    tcp: Annotated[
        Endpoint | None,
        network_kinds.ENDPOINT,
        Doc(
            text="Where a connection has to be accepted; on this machine if no host is named.",
            source="Pebble",
        ),
        PerProgram(),
    ] = None
    initial_delay: Annotated[
        float,
        kinds.DURATION,
        Doc(
            text="From the start of the process to the first question.",
            source="Kubernetes",
        ),
        PerProgram(),
    ] = 0.0
    period: Annotated[
        float,
        kinds.duration_from(0.1),
        Doc(
            text="From one question to the next. The second comes up to half a period early, so "
            "that programs started together are not asked together.",
            source="Kubernetes",
        ),
        PerProgram(),
    ] = 10.0
    timeout: Annotated[
        float,
        kinds.POSITIVE_DURATION,
        Doc(text="An answer that takes longer is a wrong one.", source="Kubernetes"),
        PerProgram(),
    ] = 1.0
    success_threshold: Annotated[
        int,
        _THRESHOLD,
        Doc(text="Right answers in a row after which it passes.", source="Kubernetes"),
        PerProgram(),
    ] = 1
    failure_threshold: Annotated[
        int,
        _THRESHOLD,
        Doc(text="Wrong answers in a row after which it fails.", source="Kubernetes"),
        PerProgram(),
    ] = 3
