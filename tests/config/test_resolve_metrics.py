"""[metrics] and [identity.X] as opsvisor.toml has them."""

from pathlib import Path

import pytest
from config_files import Complaints, Load

from opsvisor.config.load import native
from opsvisor.config.problems import ConfigError
from opsvisor.config.settings import (
    USUAL_COLLECTORS,
    Access,
    Collector,
    Identity,
    MetricsCompat,
    MetricsSettings,
    Offer,
    TcpServer,
    UnixServer,
)

PROMETHEUS = "[identity.prometheus]\naccess = 'metrics'\ntoken = 'abc'\n"


def metrics(load: Load, options: str, more: str = "") -> MetricsSettings:
    """What the options of [metrics] come to."""
    return load(f"{more}[metrics]\n{options}").settings.metrics


def test_without_a_word_there_is_what_is_usual(load: Load) -> None:
    """No listener of its own, and nothing that costs much."""
    settings = load("").settings
    assert settings.metrics == MetricsSettings()
    assert settings.metrics.server is None
    assert settings.listeners == settings.servers
    assert Collector.PROPORTIONAL_MEMORY not in settings.metrics.collectors


def test_a_listener_of_its_own(load: Load) -> None:
    """It comes beside the servers, and is none of them."""
    settings = load("[server]\nunix = '/x.sock'\n[metrics]\nlisten = '127.0.0.1:9002'").settings
    assert settings.metrics.server == TcpServer(
        name="metrics", host="127.0.0.1", port=9002, offers=Offer.METRICS
    )
    assert settings.servers == (UnixServer(name="unix", path="/x.sock"),)
    assert settings.listeners == (*settings.servers, settings.metrics.server)


@pytest.mark.parametrize("listen", [":9002", "0.0.0.0:9002", "[::]:9002", "example.org:9002"])
def test_the_network_gets_no_metrics_for_nothing(
    listen: str, complaints: Complaints, load: Load
) -> None:
    """Somebody has to prove who they are, unless the file says by name that anybody may come."""
    table = f"[metrics]\nlisten = '{listen}'\n"
    assert complaints(table) == (
        f"opsvisor.toml:2: metrics: listen = '{listen}' would let anybody on the network read the"
        ' metrics\n    hint: add an [identity.prometheus] with access = "metrics" and a'
        " token_file, listen on 127.0.0.1, or say allow_anonymous = true"
    )
    server = load(f"{table}allow_anonymous = true").settings.metrics.server
    assert server is not None
    assert server.is_open
    protected = load(f"{table}{PROMETHEUS}").settings.metrics.server
    assert protected is not None
    assert not protected.is_open


def test_anybody_means_anybody(load: Load) -> None:
    """Identities may be there for the API alone; without that word they are for both."""
    listen = "listen = '127.0.0.1:9002'\n"
    server = metrics(load, listen, PROMETHEUS).server
    assert server is not None
    assert [identity.name for identity in server.identities] == ["prometheus"]
    server = metrics(load, f"{listen}allow_anonymous = true", PROMETHEUS).server
    assert server is not None
    assert server.is_open


def test_what_is_told(load: Load) -> None:
    """A list replaces what is usual, or adds to it by its name."""
    assert metrics(load, "collectors = []").collectors == frozenset()
    assert metrics(load, "collectors = ['logs', 'state', 'logs']").collectors == {
        Collector.LOGS,
        Collector.STATE,
    }
    more = metrics(load, "collectors = ['usual', 'proportional-memory']").collectors
    assert more == USUAL_COLLECTORS | {Collector.PROPORTIONAL_MEMORY}
    told = metrics(load, "compat = ['node_supervisord']\nprocess_labels = ['b', 'a', 'b']")
    assert told.compat == {MetricsCompat.NODE_SUPERVISORD}
    assert told.process_labels == ("b", "a")


EVERYTHING_WRONG = """\
[metrics]
listen = "9002"
allow_anonymous = "yes"
collectors = ["usual", "stat", 7]
process_labels = ["team-a", "team_a"]
compat = "node_supervisord"
proportional_memory_interval = "10ms"
colectors = []
[identity.a]
access = "metric"
[identity.b]
access = "read"
token = "x"
token_file = "/x"
[identity."c d"]
access = "read"
token = "a b"
[identity.d]
access = "read"
token_file = "nowhere"
[identity.e]
password = 7
"""

ALL_OF_IT = """\
opsvisor.toml:2: metrics: listen = '9002' is not an address with a port from 0 to 65535
    hint: addresses look like "127.0.0.1:9001", "[::1]:9001" or ":9001" for all interfaces
opsvisor.toml:3: metrics: allow_anonymous = 'yes': expected true or false, got a string
opsvisor.toml:4: metrics: collectors[1] = 'stat' is not one of them
    hint: did you mean 'state'? There are usual, state, restarts, resources, cgroup, logs, \
health, events, http, engine, proportional-memory, context-switches
opsvisor.toml:4: metrics: collectors[2] = 7: expected a string, got an integer
opsvisor.toml:5: metrics: process_labels = ['team-a', 'team_a'] holds 'team-a' and 'team_a', \
which would both be label_team_a
    hint: leave one of the two out, or give it another name
opsvisor.toml:6: metrics: compat = 'node_supervisord': expected an array of names, got a string
opsvisor.toml:7: metrics: proportional_memory_interval = '10ms' is too short
    hint: it is 1s or more
opsvisor.toml:8: metrics: unknown option 'colectors'
    hint: did you mean 'collectors'?
opsvisor.toml:10: identity 'a': access = 'metric' is not one of metrics, read, operate, admin
    hint: did you mean 'metrics'?
opsvisor.toml:14: identity 'b': token_file is set beside token
    hint: leave out one of the two: identity 'b' has one secret
opsvisor.toml:15: identity 'c d' is not a usable name
    hint: names consist of letters, digits, '_', '.', '-', '+' and '@'
opsvisor.toml:20: identity 'd': token_file can't be read: 'nowhere': no such file or directory
    hint: the daemon's user must be able to read it
opsvisor.toml:21: identity 'e': access is missing
    hint: for example access = "metrics"
opsvisor.toml:22: identity 'e': password: expected a string, got an integer"""


def test_everything_wrong_at_once(complaints: Complaints) -> None:
    """Where, what, and what to do."""
    assert complaints(EVERYTHING_WRONG) == ALL_OF_IT


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "[identity.x]\naccess = 'read'",
            (
                "opsvisor.toml:1: identity 'x' has no way to prove itself\n"
                "    hint: set password, token, token_file, token_hash, local or certificate"
            ),
        ),
        (
            "[identity.x]\naccess = 'read'\ntoken = 'geheim nis'",
            (
                "opsvisor.toml:3: identity 'x': token can't be sent as a token\n"
                "    hint: letters, digits and -._~+/ without blanks, for example of: openssl rand"
                " -hex 32"
            ),
        ),
        (
            "[identity.x]\naccess = 'read'\ntoken = '${UNSET}'",
            (
                "opsvisor.toml:3: identity 'x': token holds '${UNSET}', a variable that isn't set"
                "\n    hint: set UNSET before the daemon starts; $${UNSET} would be taken as it is"
            ),
        ),
        (
            (
                "[identity.x]\naccess = 'read'\ntoken = 'geheim'\n"
                "[identity.y]\naccess = 'admin'\ntoken = 'geheim'"
            ),
            (
                "opsvisor.toml:6: identity 'y': token holds the token of identity 'x'\n"
                "    hint: give each its own"
            ),
        ),
        (
            f"[server.http]\nlisten = ':1'\nusername = 'prometheus'\npassword = 'x'\n{PROMETHEUS}",
            (
                "opsvisor.toml:3: server: http.username is what an identity is called too:"
                " 'prometheus'\n    hint: give one of the two another name"
            ),
        ),
    ],
)
def test_what_can_not_be(text: str, says: str, complaints: Complaints) -> None:
    """A secret is in none of it."""
    told = complaints(text)
    assert told == says
    assert "geheim" not in told


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "[metrics]\nproportional_memory_interval = '1m'",
            (
                "metrics: proportional_memory_interval has no effect while proportional memory"
                " isn't collected"
            ),
        ),
        (
            "[metrics]\nallow_anonymous = true",
            "metrics: allow_anonymous has no effect without listen",
        ),
        (
            (
                "[server.http]\nlisten = ':1'\nallow_anonymous = true\n"
                f"[metrics]\nlisten = ':2'\n{PROMETHEUS}"
            ),
            (
                "server: http.allow_anonymous lets in anybody to do anything, whatever identities"
                " there are"
            ),
        ),
        (
            (
                "[metrics]\nprocess_labels = ['taem']\n"
                "[program.x]\ncommand = 'x'\nlabels = { team = 'a' }"
            ),
            "metrics: process_labels names 'taem', which no program has",
        ),
        (
            f"[server]\nunix = 'x'\n{PROMETHEUS}",
            "identity 'prometheus' has no effect: no server asks for one",
        ),
    ],
)
def test_what_is_in_vain(text: str, says: str, load: Load) -> None:
    """It can be used, and somebody should know."""
    (warning,) = load(text).warnings
    assert warning.what == says
    assert warning.hint or "without listen" in says


def test_nobody_knows_who_asks_while_something_is_wrong(load: Load) -> None:
    """An identity by a user that isn't there yet is a problem, and not also in vain."""
    with pytest.raises(ConfigError) as caught:
        load(
            "[server.unix]\npath = 'x'\nmode = '0666'\n"
            "[identity.deploy]\naccess = 'read'\nlocal = { user = 'no such user' }\n"
        )
    assert len(caught.value.problems) == 1
    assert not caught.value.warnings


def test_labels_are_bounded(complaints: Complaints) -> None:
    """Each is kept by Prometheus for every process."""
    names = [f"l{number}" for number in range(31)]
    assert "hint: 30 labels at most" in complaints(f"[metrics]\nprocess_labels = {names}")


def test_identities(load: Load, tmp_path: Path) -> None:
    """Each with its proof; a file is looked for beside the configuration."""
    (tmp_path / "prom.token").write_text(" abc== \n")
    settings = load(
        "[server.http]\nlisten = ':9001'\n"
        "[identity.prometheus]\naccess = 'metrics'\ntoken_file = 'prom.token'\n"
        "[identity.ops]\naccess = 'admin'\npassword = '{SHA}abc'\n"
        "[identity.ci]\naccess = 'operate'\ntoken = 'xyz'\n"
    ).settings
    (server,) = settings.servers
    assert isinstance(server, TcpServer)
    assert server.identities == (
        Identity(
            name="prometheus", access=Access.METRICS, token_file=str(tmp_path / "prom.token")
        ),
        Identity(name="ops", access=Access.ADMIN, password="{SHA}abc"),
        Identity(name="ci", access=Access.OPERATE, token="xyz"),
    )
    assert not server.is_open
    for secret in ("{SHA}abc", "xyz", "abc=="):
        assert secret not in repr(settings)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"geheim nis", "holds what can't be sent as a token"),
        (b"geheim\nnis\n", "holds what can't be sent as a token"),
        (b"\xff\xfe", "holds what can't be sent as a token"),
        (b"x" * 5000, "holds what can't be sent as a token"),
    ],
)
def test_a_token_file_holds_one_token(
    content: bytes, says: str, tmp_path: Path, complaints: Complaints
) -> None:
    """Anything else is told, and not quoted."""
    (tmp_path / "t").write_bytes(content)
    told = complaints("[identity.x]\naccess = 'read'\ntoken_file = 't'")
    assert told.startswith(f"opsvisor.toml:3: identity 'x': token_file {says}: 't'\n")
    assert "geheim" not in told


def test_a_token_file_is_a_file(complaints: Complaints) -> None:
    """A device or a pipe might never end."""
    told = complaints("[identity.x]\naccess = 'read'\ntoken_file = '/dev/zero'")
    assert told.startswith("opsvisor.toml:3: identity 'x': token_file is no regular file")


def test_secrets_may_come_from_the_environment(tmp_path: Path) -> None:
    """As other secrets do; one that is set to nothing would open the door."""
    path = tmp_path / "opsvisor.toml"
    path.write_text("server.http = ':1'\n[identity.x]\naccess = 'read'\ntoken = '${TOKEN}'")
    (server,) = native(path, {"TOKEN": "abc"}).settings.servers
    assert server.identities[0].token == "abc"
    with pytest.raises(ConfigError, match=r":4: identity 'x': token is empty"):
        native(path, {"TOKEN": ""})
