"""What the options of a process are, where they were written, and what an apply would change."""

from pathlib import Path

import pytest
from engine_room import sleeper
from served import Serve, Served

from opsvisor import wire
from opsvisor.config.load import native
from opsvisor.config.settings import Access, Identity, TcpServer
from opsvisor.core.spec import ProcessId

CONFIG = "/api/v1/processes/web/config"
FILE = """\
[defaults]
kill_delay = "1s"

[program.web]
command = "sleep 1000"
environment = { TOKEN = "hunter2" }
"""


def write(api: Served, tmp_path: Path, text: str) -> None:
    """Have this read from now on."""
    path = tmp_path / "opsvisor.toml"
    path.write_text(text)
    api.house.files = native(path, {})


async def options(api: Served, tmp_path: Path) -> dict[str, wire.ConfigValue]:
    """Every option of the process `web`, without the directory."""
    config = await api.get(CONFIG, wire.ProcessConfig)
    assert config.name == "web"
    return {
        one.name: wire.ConfigValue(
            name=one.name,
            value=one.value,
            origin=one.origin.replace(f"{tmp_path}/", ""),
            how=one.how,
            is_default=one.is_default,
            secret=one.secret,
        )
        for one in config.options
    }


@pytest.fixture
async def api(serve: Serve, tmp_path: Path) -> Served:
    """A process that follows the file above."""
    api = await serve(sleeper("web"))
    write(api, tmp_path, FILE)
    await api.post("/api/v1/config/apply", wire.ApplyResponse, wire.ApplyRequest())
    return api


async def test_each_option_says_where_it_was_written(api: Served, tmp_path: Path) -> None:
    """As it would be written again, with the file and the line."""
    found = await options(api, tmp_path)
    assert found["command"] == wire.ConfigValue(
        name="command", value='"sleep 1000"', origin="opsvisor.toml:5", is_default=False
    )
    assert found["kill_delay"] == wire.ConfigValue(
        name="kill_delay",
        value='"1s"',
        origin="opsvisor.toml:2",
        how="defaults",
        is_default=False,
    )
    assert found["min_uptime"] == wire.ConfigValue(
        name="min_uptime", value='"1s"', origin="default", is_default=True
    )
    assert found["user"].value == ""
    assert found["environment.TOKEN"].value == '"hunter2"'
    assert found["environment.TOKEN"].secret


async def test_what_is_in_use_counts_not_what_the_files_say(api: Served, tmp_path: Path) -> None:
    """What was not applied keeps the lines it was read on; what only moved has its new ones."""
    write(api, tmp_path, "\n\n" + FILE)
    await api.post("/api/v1/config/reread", wire.ConfigDiff)
    assert (await options(api, tmp_path))["command"].origin == "opsvisor.toml:7"
    write(api, tmp_path, FILE.replace("1s", "2s").replace("[program", "\n\n\n[program"))
    await api.post("/api/v1/config/reread", wire.ConfigDiff)
    found = await options(api, tmp_path)
    assert (found["kill_delay"].value, found["kill_delay"].origin) == ('"1s"', "opsvisor.toml:2")
    assert found["command"].origin == "opsvisor.toml:5"
    await api.post("/api/v1/config/apply", wire.ApplyResponse, wire.ApplyRequest())
    found = await options(api, tmp_path)
    assert (found["kill_delay"].value, found["kill_delay"].origin) == ('"2s"', "opsvisor.toml:2")
    assert found["command"].origin == "opsvisor.toml:8"


async def test_other_groups_keep_their_lines(api: Served, tmp_path: Path) -> None:
    """Who applies one group takes over nothing of the others."""
    both = FILE.replace("1s", "3s") + '[program.new]\ncommand = "sleep 1000"\n'
    write(api, tmp_path, "\n" + both)
    request = wire.ApplyRequest(groups=["new"])
    await api.post("/api/v1/config/apply", wire.ApplyResponse, request)
    found = await options(api, tmp_path)
    assert (found["kill_delay"].value, found["kill_delay"].origin) == ('"1s"', "opsvisor.toml:2")
    new = await api.get("/api/v1/processes/new/config", wire.ProcessConfig)
    assert new.options[0].origin.endswith("opsvisor.toml:9")


async def test_a_diff_has_the_values(api: Served, tmp_path: Path) -> None:
    """Of every option that changes, appears or goes."""
    changed = FILE.replace("1s", "2s").replace('TOKEN = "hunter2"', 'OTHER = "1"')
    write(api, tmp_path, changed + "nice = 3\n")
    diff = await api.post("/api/v1/config/reread", wire.ConfigDiff)
    (change,) = diff.changed
    assert {(one.name, one.old, one.new, one.secret) for one in change.values} == {
        ("kill_delay", '"1s"', '"2s"', False),
        ("nice", "", "3", False),
        ("environment.TOKEN", '"hunter2"', "", True),
        ("environment.OTHER", "", '"1"', True),
    }
    assert await api.get("/api/v1/config/diff", wire.ConfigDiff) == diff


async def test_secrets_are_for_admins(serve: Serve, tmp_path: Path) -> None:
    """Others are told that there is one, and that it changes."""
    reader = Identity(name="eve", access=Access.OPERATE, token="look" * 8)
    server = TcpServer(name="test", host="127.0.0.1", port=0, identities=(reader,))
    api = await serve(sleeper("web"), server=server)
    api.session.headers["Authorization"] = f"Bearer {'look' * 8}"
    control = api.house.control

    def follows_file() -> bool:
        return bool(control.engine.view(ProcessId("web", "web")).spec.environment)

    write(api, tmp_path, FILE)
    await control.configuration.reread()
    control.configuration.carry_out(control.configuration.available.plan)
    await api.house.room.until(follows_file)
    write(api, tmp_path, FILE.replace("hunter2", "correct horse"))
    assert (await control.configuration.reread()).diff.changed
    secret = (await options(api, tmp_path))["environment.TOKEN"]
    assert (secret.value, secret.secret, secret.origin) == ("", True, "opsvisor.toml:6")
    async with api.session.get("/api/v1/config/diff") as response:
        text = await response.text()
    assert '"name":"environment.TOKEN","old":"","new":"","secret":true' in text
    assert "hunter2" not in text
    assert "horse" not in text
