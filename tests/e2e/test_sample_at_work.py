"""The sample that echo_opsvisord_conf prints, used as it is by both pairs of programs."""

import uuid
from pathlib import Path

import pytest
from commands import kill_marked, run_program
from daemon import eventually
from procfs import is_alive


@pytest.mark.parametrize(
    ("daemon", "ctl"),
    [
        ("opsvisord", "opsvisorctl"),
        ("opsvisord", "supervisorctl"),
        ("supervisord", "supervisorctl"),
    ],
)
def test_the_sample_runs(tmp_path: Path, daemon: str, ctl: str) -> None:
    """In the background, with its files beside it, asked and ended by the control program."""
    config = tmp_path / "supervisord.conf"
    config.write_text(run_program("echo_opsvisord_conf", directory=tmp_path).out)
    mark = uuid.uuid4().hex
    words = ["-c", str(config)]
    try:
        started = run_program(daemon, *words, directory=tmp_path, mark=mark)
        assert started == (0, "", "")
        log = tmp_path / "supervisord.log"
        # supervisord's parent has left by then, but its child may not be there yet.
        eventually(lambda: log.exists() and "started with pid" in log.read_text())
        pid = int((tmp_path / "supervisord.pid").read_text())
        assert run_program(ctl, *words, "pid", directory=tmp_path).out == f"{pid}\n"
        told = run_program(ctl, *words, "shutdown", directory=tmp_path)
        assert (told.status, told.out) == (0, "Shut down\n")
        eventually(lambda: not is_alive(pid))
        left = {path.name for path in tmp_path.iterdir()}
        assert left - {"state"} == {"supervisord.conf", "supervisord.log"}
    finally:
        kill_marked(mark)
