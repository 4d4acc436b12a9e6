"""SECURITY.md and the guide beside it: what they point to is there, and what they show works."""

import re
from pathlib import Path

import pytest
from authority import Authority

from opsvisor.config.load import native_text
from opsvisor.config.settings import TcpServer
from opsvisor.config.tokens import digest_of

ROOT = Path(__file__).parents[2]
_TESTS = re.compile(r"`((?:tests/)?[a-z0-9_/]+(?:\.py)?)`")
_TOML = re.compile(r"```toml\n(.*?)```", re.DOTALL)


def test_what_is_said_to_hold_has_tests() -> None:
    """Each row of the tables names them, and they are there."""
    rows = [
        line
        for line in (ROOT / "SECURITY.md").read_text().splitlines()
        if line.startswith("| ") and not line.startswith("| What")
    ]
    assert len(rows) > 20
    for row in rows:
        shown = row.rsplit("|", 2)[1]
        named = _TESTS.findall(shown)
        folder = Path()
        for name in named:
            path = ROOT / name if name.startswith("tests") else folder / name
            folder = path.parent
            assert path.exists(), row
        assert named or "route table" in shown, row


@pytest.mark.parametrize(
    "block",
    _TOML.findall((ROOT / "docs/guide/security.md").read_text()),
    ids=lambda text: text[:24],
)
def test_examples_of_the_guide_can_be_used(block: str, tmp_path: Path) -> None:
    """As they stand there, but for where the files are and what the user is called."""
    authority = Authority(tmp_path)
    both = authority.issue("both.pem")
    (tmp_path / "token").write_text("sesame")
    text = block
    for written, here in (
        ("/etc/opsvisor/tls/fullchain.pem", both),
        ("/etc/opsvisor/tls/privkey.pem", both),
        ("/etc/opsvisor/tls/clients.pem", authority.file),
        ("/etc/opsvisor/prometheus.token", tmp_path / "token"),
        ("sha256:…", f"sha256:{digest_of('other').hex()}"),
        ('user = "deploy"', 'user = "root"'),
        ('group = "oncall"', 'group = "daemon"'),
        ('listen   = ":9001"\ntls_cert', 'listen   = "127.0.0.1:9001"\ntls_cert'),
        ('listen   = ":9002"\ntls_cert', 'listen   = "127.0.0.1:9002"\ntls_cert'),
    ):
        text = text.replace(written, str(here))
    loaded = native_text(text, tmp_path / "opsvisor.toml", {"ALICE_PASSWORD": "x"})
    for server in loaded.settings.listeners:
        if isinstance(server, TcpServer) and "tls_cert" in block:
            assert server.tls is not None
