"""Where the values of Supervisor's options were written, by the names they have with us."""

from pathlib import Path

from supervisor_files import load_text

from opsvisor.config.spelling import spell
from opsvisor.core.spec import ProcessId

TEXT = """\
[supervisord]
environment = SHARED=1,OWN=0
strip_ansi = true

[opsvisor]
on_exit = shutdown

[program:web]
command = /bin/cat %(process_num)d
process_name = %(program_name)s_%(process_num)d
numprocs = 2
autostart = false
autorestart = true
stopwaitsecs = 3
startsecs = 2
stopasgroup = true
redirect_stderr = true
stdout_logfile = /tmp/%(program_name)s.log
stdout_logfile_maxbytes = 1MB
environment = OWN=1

[group:herd]
programs = web
"""


def test_every_option_has_its_line(tmp_path: Path) -> None:
    """And what nobody wrote has none: here `default` is Supervisor's, not ours."""
    loaded = load_text(tmp_path, TEXT)
    process_id = ProcessId("herd", "web_1")
    spec = loaded.plan.specs()[process_id]
    written = loaded.origins.of_group("herd").of(process_id, "web")
    found = {}
    for name, spelled in spell(spec).items():
        origin = next((written[home] for home in spelled.homes if home in written), None)
        if origin is not None:
            assert origin.place.file == str(tmp_path / "supervisord.conf")
            found[name] = f"{spelled.value} @ {origin.place.line} {origin.how.value}".rstrip()
    assert found == {
        "command": '"/bin/cat 1" @ 9 template',
        "startup": '"disabled" @ 12',
        "group": '"herd" @ 23',
        "process_name": '"web_1" @ 10 template',
        "environment.SHARED": '"1" @ 2 defaults',
        "environment.OWN": '"1" @ 20',
        "restart": '"always" @ 13',
        "backoff_reset": '"2s" @ 15',
        "min_uptime": '"2s" @ 15',
        "on_exit": '"shutdown" @ 6 defaults',
        "kill_delay": '"3s" @ 14',
        "kill_mode": '"group" @ 16',
        "log.stdout": '"/tmp/web.log" @ 18 template',
        "log.stdout.rotate_size": '"1M" @ 19',
        "log.stderr": '"merge" @ 17',
        "log.strip_ansi": "true @ 3 defaults",
    }


def test_defaults_of_the_parser(tmp_path: Path) -> None:
    """What stands in [DEFAULT] counts for all."""
    text = "[DEFAULT]\nstopwaitsecs = 4\n[supervisord]\n[program:web]\ncommand = cat\n"
    loaded = load_text(tmp_path, text)
    written = loaded.origins.of_group("web").of(ProcessId("web", "web"), "web")
    assert str(written["kill_delay"].place).endswith("supervisord.conf:2")
    assert written["kill_delay"].how.value == "defaults"


def test_variables_that_can_not_be_read_unfilled(tmp_path: Path) -> None:
    """Where each of them is can't be told, and nothing else is lost by that."""
    text = "[supervisord]\n[program:web]\ncommand = cat\nenvironment = %(ENV_ALL)s\n"
    loaded = load_text(tmp_path, text, {"ALL": "A=1"})
    written = loaded.origins.of_group("web").of(ProcessId("web", "web"), "web")
    assert set(written) == {"command"}
