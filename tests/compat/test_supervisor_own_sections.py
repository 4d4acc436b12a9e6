"""[opsvisor] and [opsvisor:…], which only we read in a file of Supervisor's."""

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import real_supervisor
from authority import Authority
from hypothesis import given
from hypothesis import strategies as st
from migrations import both as both_of
from migrations import differences, migrated
from supervisor_files import load_text, problems, write

from opsvisor.compat.supervisor.config.load import load
from opsvisor.config.option import options_of
from opsvisor.config.problems import ConfigError, Problem
from opsvisor.config.schema_metrics import IdentityOptions, MetricsOptions
from opsvisor.config.settings import (
    USUAL_COLLECTORS,
    Access,
    ClientCertificate,
    ClientCertificates,
    Collector,
    Credentials,
    Identity,
    LocalPeer,
    MetricsCompat,
    MetricsSettings,
    Offer,
    OnCrash,
    TcpServer,
    UnixServer,
)
from opsvisor.core.spec import OnEnd

HEAD = "[supervisord]\n"
METRICS = f"{HEAD}[opsvisor:metrics]\n"
EVERYTHING = """\
[supervisord]
nodaemon = true
[unix_http_server]
file = %(here)s/s
username = ops
password = secret
[inet_http_server]
port = 127.0.0.1:9001
[opsvisor:metrics]
listen = :9002            ; for Prometheus
collectors = usual, , context-switches,
compat = node_supervisord
proportional_memory_interval = 5m
[opsvisor:identity:prometheus]
access = metrics
token_file = prom.token
[opsvisor:identity:duty]
access = operate
password = %(ENV_DUTY)s
[program:a]
command = /bin/cat
"""
ENVIRON = {"DUTY": "s3cret"}


def told(folder: Path, text: str) -> list[str]:
    """All problems as `line: what (hint)`."""
    found = [f"{one.where.line}: {one.what} ({one.hint})" for one in problems(folder, text)]
    return [line.replace(f"{folder}/", "") for line in found]


def warned(folder: Path, text: str) -> list[str]:
    """All warnings as `line: what`."""
    return [f"{one.where.line}: {one.what}" for one in load_text(folder, text).warnings]


def test_without_them_all_is_as_supervisor_has_it(tmp_path: Path) -> None:
    """Nothing listens that nobody asked for."""
    assert load_text(tmp_path, HEAD).settings.metrics == MetricsSettings()


def test_everything_that_can_be_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists have commas, and paths begin where those of the file do."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prom.token").write_text("abc\n")
    settings = load_text(tmp_path, EVERYTHING, ENVIRON).settings
    identities = (
        Identity(
            name="prometheus", access=Access.METRICS, token_file=str(tmp_path / "prom.token")
        ),
        Identity(name="duty", access=Access.OPERATE, password="s3cret"),
    )
    assert settings.metrics == MetricsSettings(
        server=TcpServer(
            name="metrics", host="", port=9002, identities=identities, offers=Offer.METRICS
        ),
        collectors=USUAL_COLLECTORS | {Collector.CONTEXT_SWITCHES},
        compat=frozenset({MetricsCompat.NODE_SUPERVISORD}),
    )
    assert settings.servers == (
        UnixServer(
            name="unix_http_server",
            path=f"{tmp_path}/s",
            mode=0o700,
            credentials=Credentials(username="ops", password="secret"),
            identities=identities,
        ),
        # One that asks for nothing goes on doing so: its clients know no better.
        TcpServer(name="inet_http_server", host="127.0.0.1", port=9001, allow_anonymous=True),
    )
    assert settings.listeners == (*settings.servers, settings.metrics.server)


def test_supervisord_passes_over_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real one reads the same file, and finds in it what it would find without them."""
    monkeypatch.setenv("DUTY", "s3cret")
    monkeypatch.chdir(tmp_path)
    with_ours = real_supervisor.read(write(tmp_path, EVERYTHING, "with.conf"))
    sections = EVERYTHING.removeprefix("[").split("\n[")
    bare = "[" + "\n[".join(one for one in sections if not one.startswith("opsvisor:"))
    assert "9002" not in bare
    expected = real_supervisor.read(write(tmp_path, bare, "without.conf"))
    assert [group.name for group in with_ours.process_group_configs] == ["a"]
    for name in ("server_configs", "identifier", "logfile", "nodaemon"):
        found, wanted = getattr(with_ours, name), getattr(expected, name)
        assert str(found).replace("with.conf", "") == str(wanted).replace("without.conf", "")


EVERYTHING_WRONG = """\
[supervisord]
[opsvisor:metrics]
listen = 9002
allow_anonymous = perhaps
collectors = usual, stat, lgs
process_labels = team-a, team_a
proportional_memory_interval = 300
colectors = state
[opsvisor:identity:a]
access = metric
token = geheim
[opsvisor:identity:b]
access = read
[opsvisor:identity:c d]
access = read
token = geheim nis
[opsvisor:identity:e]
token = x
[opsvisor:identity:f]
access = read
password = 100% geheim
[opsvisor:metric]
[opsvisor]
on_crash = die
"""

ALL_OF_IT = """\
3: [opsvisor:metrics] listen = '9002' is not an address with a port from 0 to 65535 (addresses \
look like "127.0.0.1:9001", "[::1]:9001" or ":9001" for all interfaces)
4: not a valid boolean value: 'perhaps' (allow_anonymous takes boolean)
5: [opsvisor:metrics] collectors = 'stat' is not one of them; [opsvisor:metrics] collectors = \
'lgs' is not one of them (did you mean 'state'? There are usual, state, restarts, resources, \
cgroup, logs, health, events, http, engine, proportional-memory, context-switches)
6: [opsvisor:metrics] process_labels = 'team-a, team_a' holds 'team-a' and 'team_a', which would \
both be label_team_a (leave one of the two out, or give it another name)
7: [opsvisor:metrics] proportional_memory_interval = '300' is not a duration (a duration needs a \
unit: "300s" for seconds, "300ms" for milliseconds)
8: [opsvisor:metrics] has no option 'colectors' (did you mean 'collectors'?)
10: [opsvisor:identity:a] access = 'metric' is not one of metrics, read, operate, admin (did you \
mean 'metrics'?)
12: [opsvisor:identity:b] has no way to prove itself (set password, token, token_file, \
token_hash, local or certificate)
14: identity 'c d' is not a usable name (names consist of letters, digits, '_', '.', '-', '+' and \
'@')
17: [opsvisor:identity:e] has no access (for example access = "metrics")"""


def test_everything_wrong_at_once(tmp_path: Path) -> None:
    """Nobody else can have meant a word in these sections, so none is passed over."""
    lines = told(tmp_path, EVERYTHING_WRONG)
    assert "\n".join(lines[:-3]) == ALL_OF_IT
    assert lines[-3].startswith("21: ")
    assert lines[-2:] == [
        (
            "22: [opsvisor:metric] is unknown to opsvisord (there are [opsvisor],"
            " [opsvisor:limits], [opsvisor:metrics] and [opsvisor:identity:NAME])"
        ),
        (
            "24: [opsvisor] on_crash = 'die' is not one of adopt, kill"
            ' (on_crash takes "adopt", "kill")'
        ),
    ]
    assert "geheim" not in "".join(lines)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            f"{METRICS}listen = :9002\n",
            (
                "3: [opsvisor:metrics] listen would let anybody on the network read the metrics"
                ' (add an [opsvisor:identity:prometheus] with access = "metrics" and a token_file,'
                " listen on 127.0.0.1, or say allow_anonymous = true)"
            ),
        ),
        (
            (
                f"{HEAD}[unix_http_server]\nfile=/s\nusername=me\npassword=x\n"
                "[opsvisor:identity:me]\naccess=read\ntoken=x\n"
            ),
            (
                "6: identity 'me' is called as the user of [unix_http_server] is (give one of the"
                " two another name)"
            ),
        ),
        (
            (
                f"{HEAD}[opsvisor:identity:a]\naccess=read\ntoken=x\n"
                "[opsvisor:identity:b]\naccess=read\ntoken=x\n"
            ),
            "5: identity 'b' holds the token of identity 'a' (give each its own)",
        ),
        (
            f"{HEAD}[opsvisor:identity:a]\naccess=read\ntoken_file=none\n",
            (
                "4: [opsvisor:identity:a] token_file can't be read: 'none': no such file or"
                " directory (the daemon's user must be able to read it)"
            ),
        ),
    ],
)
def test_what_can_not_be(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the same rules as in a file of our own."""
    monkeypatch.chdir(tmp_path)
    assert told(tmp_path, text) == [says]


def test_what_is_in_vain(tmp_path: Path) -> None:
    """Programs of Supervisor's have no labels, and an open server asks nobody."""
    assert warned(tmp_path, f"{METRICS}process_labels = team\n") == [
        "3: [opsvisor:metrics] process_labels names 'team', which no program has"
    ]
    text = f"{HEAD}[opsvisor:identity:a]\naccess=read\ntoken=x\n"
    assert warned(tmp_path, text) == ["2: identity 'a' has no effect: no server asks for one"]
    assert warned(tmp_path, f"{HEAD}[opsvisr:metrics]\n") == [
        "2: [opsvisr:metrics] is unknown and has no effect"
    ]


def test_what_the_guide_shows(tmp_path: Path) -> None:
    """It can be copied as it is, but for the file of the token."""
    guide = Path(__file__).parents[2] / "docs/guide/migrating-from-supervisor.md"
    (shown,) = re.findall(r"```text\n(.*?)```", guide.read_text("utf-8"), re.DOTALL)
    (tmp_path / "prometheus.token").write_text("abc\n")
    text = f"{HEAD}{shown}".replace("/etc/opsvisor", str(tmp_path))
    assert warned(tmp_path, text) == []
    assert load_text(tmp_path, text).settings.metrics.server is not None


@given(
    section=st.sampled_from(["metrics", "identity:x", "identity:", "identity:x:y", ""]),
    options=st.dictionaries(
        st.sampled_from([*options_of(MetricsOptions), *options_of(IdentityOptions), "other"]),
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=30)
        | st.sampled_from(
            ["yes", ":1", "usual", "5m", "admin", "/dev/null", "~", "a,,b", "%(x)s"]
        ),
        max_size=4,
    ),
)
def test_whatever_is_written_has_an_answer(section: str, options: dict[str, str]) -> None:
    """A configuration, or problems that each have a place; nothing else ever comes of it."""
    lines = "".join(f"{name} = {value}\n" for name, value in options.items())
    with TemporaryDirectory() as folder:
        path = write(Path(folder), f"{HEAD}[opsvisor:{section}]\n{lines}")
        found: Sequence[Problem] = ()
        try:
            load(path, {})
        except ConfigError as error:
            found = error.problems
        assert all(problem.where.file == str(path) for problem in found)


def test_a_migration_carries_them_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the comments, the variables, and nothing lost."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prom.token").write_text("abc\n")
    done = migrated(tmp_path, EVERYTHING, ENVIRON, head="")
    assert [str(one) for one in done.differences] == []
    _, _, ours = done.text.partition("[metrics]\n")
    assert ours.partition("# What all programs")[0] == (
        'listen = ":9002"  # for Prometheus\n'
        'collectors = ["usual", "context-switches"]\n'
        'compat = ["node_supervisord"]\n'
        "\n"
        "[identity.prometheus]\n"
        'access = "metrics"\n'
        f'token_file = "{tmp_path}/prom.token"\n'
        "\n"
        "[identity.duty]\n"
        'access = "operate"\n'
        'password = "${DUTY}"\n'
        "\n"
    )
    before, after = both_of(tmp_path, done, ENVIRON)
    assert before.settings.metrics == after.settings.metrics


def test_a_migration_tells_what_it_would_change(tmp_path: Path) -> None:
    """Here nothing: an empty section is as good as none."""
    assert differences(tmp_path, "[opsvisor:metrics]\n[program:a]\ncommand=/bin/cat\n") == []


def test_what_clients_may_cost(tmp_path: Path) -> None:
    """[opsvisor:limits] has the options of [server.limits]."""
    text = "[opsvisor:limits]\nconnections = 64\nidle_timeout = 1m\nfailed_logins = 0\n"
    before, after = both_of(tmp_path, migrated(tmp_path, text), {})
    limits = before.settings.limits
    assert (limits.connections, limits.idle_timeout, limits.failed_logins) == (64, 60.0, 0)
    assert limits.answer_timeout == 30.0
    assert after.settings.limits == limits


def test_how_the_daemon_survives_its_end(tmp_path: Path) -> None:
    """[opsvisor] has options of [daemon] that Supervisor has no words for."""
    text = "[opsvisor]\nstate_dir = %(here)s/state\non_crash = kill\n"
    before, after = both_of(tmp_path, migrated(tmp_path, text), {})
    assert before.settings.state_dir == f"{tmp_path}/state"
    assert before.settings.on_crash is OnCrash.KILL
    assert after.settings.state_dir == before.settings.state_dir
    assert after.settings.on_crash is OnCrash.KILL


def test_what_ends_the_daemon(tmp_path: Path) -> None:
    """Said once of all programs; an event listener that ends is no reason to end."""
    text = (
        "[opsvisor]\non_fatal = shutdown\nessential_exit_code = 5\n"
        "[program:a]\ncommand = /bin/cat\n[program:b]\ncommand = /bin/cat\n"
        "[eventlistener:l]\ncommand = /bin/cat\nevents = EVENT\n"
    )
    before, after = both_of(tmp_path, migrated(tmp_path, text), {})
    for loaded in (before, after):
        ends = {
            spec.program: (spec.on_fatal, spec.on_exit) for spec in loaded.plan.specs().values()
        }
        assert ends == {
            "a": (OnEnd.SHUTDOWN, OnEnd.KEEP),
            "b": (OnEnd.SHUTDOWN, OnEnd.KEEP),
            "l": (OnEnd.KEEP, OnEnd.KEEP),
        }
        assert loaded.settings.essential_exit_code == 5


def test_users_hashes_and_groups(tmp_path: Path) -> None:
    """What is a table in our own format has a dot here; a socket then asks who somebody is."""
    text = f"""\
[unix_http_server]
file = {tmp_path}/s
chmod = 0766
[supervisord]
[program:web]
command = /bin/cat
[opsvisor:identity:deploy]
access = operate
groups = web, api
local.user = root
local.group = 0
token_hash = sha256:{"ab" * 32}
"""
    loaded = load_text(tmp_path, text)
    (server,) = loaded.settings.servers
    assert isinstance(server, UnixServer)
    assert not server.is_open
    assert server.identities == (
        Identity(
            name="deploy",
            access=Access.OPERATE,
            groups=frozenset({"web", "api"}),
            token_hash=bytes.fromhex("ab" * 32),
            local=LocalPeer(uid=0, gid=0),
        ),
    )
    assert warned(tmp_path, text) == [
        "9: [opsvisor:identity:deploy] groups names 'api', which is no group"
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "local.user = rooot",
            (
                "4: [opsvisor:identity:x] local.user names a user that doesn't exist: 'rooot' (did"
                " you mean 'root'?)"
            ),
        ),
        (
            "local = root",
            "4: [opsvisor:identity:x] has no option 'local' (did you mean 'local.user'?)",
        ),
        (
            "token_hash = abc",
            (
                "4: [opsvisor:identity:x] token_hash is no hash of a token (it is sha256: and 64"
                " hex digits, as opsvisorctl hash-token writes it)"
            ),
        ),
    ],
)
def test_what_can_not_be_of_an_identity(line: str, says: str, tmp_path: Path) -> None:
    """As in our own format, in the words of this one."""
    head = "[supervisord]\n[opsvisor:identity:x]\naccess = read\n"
    assert told(tmp_path, f"{head}{line}\n")[0] == says


def test_a_migration_carries_identities_over(tmp_path: Path) -> None:
    """Users by the names they were written with; groups, and hashes."""
    text = f"""\
[unix_http_server]
file = {tmp_path}/s
chmod = 0766
[program:web]
command = /bin/cat
[opsvisor:identity:deploy]
access = operate
groups = web
local.user = root
local.group = 0
token_hash = sha256:{"ab" * 32}
"""
    done = migrated(tmp_path, text)
    assert [str(one) for one in done.differences] == []
    _, _, ours = done.text.partition("[identity.deploy]\n")
    for line in (
        'access = "operate"',
        'groups = ["web"]',
        'local.user = "root"',
        'local.group = "0"',
        f'token_hash = "sha256:{"ab" * 32}"',
    ):
        assert line in ours.splitlines()


WITH_TLS = f"""{HEAD}
[inet_http_server]
port = :9001
username = ops
password = secret
[opsvisor]
audit_log = audit.log
audit_rotate_keep = 3
tls_cert = both.pem
client_ca = ca.pem
client_cert = optional
hosts = ops.example.org, ops
[opsvisor:metrics]
listen = :9002
tls_cert = both.pem
client_ca = ca.pem
[opsvisor:identity:prometheus]
access = metrics
certificate.common_name = prom
certificate.uri = spiffe://example.org/prom
[program:a]
command = /bin/cat
"""


def test_certificates_and_the_audit_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[opsvisor] says them of every server on TCP, and its names; a migration carries all over."""
    monkeypatch.chdir(tmp_path)
    authority = Authority(tmp_path)
    both = authority.issue("both.pem")
    settings = load_text(tmp_path, WITH_TLS).settings
    assert settings.audit_log.path == f"{tmp_path}/audit.log"
    (http,) = settings.servers
    optional = authority.spec(both, asks=authority, client_cert=ClientCertificates.OPTIONAL)
    assert isinstance(http, TcpServer)
    assert http.tls == optional
    assert http.hosts == ("ops.example.org", "ops")
    assert settings.metrics.server is not None
    assert settings.metrics.server.tls == authority.spec(both, asks=authority)
    wanted = ClientCertificate(common_name="prom", uri="spiffe://example.org/prom")
    assert [one.certificate for one in http.identities] == [wanted]
    done = migrated(tmp_path, WITH_TLS)
    before, after = both_of(tmp_path, done)
    assert [str(one) for one in done.differences] == []
    assert after.settings.audit_log == before.settings.audit_log
    for option in ("tls", "hosts"):
        assert [getattr(one, option, None) for one in after.settings.listeners] == [
            getattr(one, option, None) for one in before.settings.listeners
        ]
    assert [one.identities for one in after.settings.listeners] == [
        one.identities for one in before.settings.listeners
    ]


def test_a_certificate_that_cannot_be_used(tmp_path: Path) -> None:
    """Told where it is written, when the file is read."""
    text = f"{HEAD}[opsvisor]\ntls_cert = {tmp_path}/none.pem\n"
    (line,) = told(tmp_path, text)
    assert line.startswith("3: [opsvisor] tls_cert can't be read: 'none.pem': no such file")
