"""The activity logs of both daemons about the same life, line by line."""

import os
import re
import signal
import subprocess
import uuid
from pathlib import Path

from commands import BIN, environment, kill_marked
from daemon import eventually
from home import Dialect, Home, Programs
from procfs import is_alive

# What opsvisord says besides, and where in the file a warning comes from.
_OURS = re.compile(r"INFO (API at|configuration \d+ applied)")
_PLACE = re.compile(r" \(/\S+:\d+\)$")


def life(daemon: str, folder: Path) -> list[str]:
    """A start in the background, USR2, HUP and TERM; what it logged, without what is different."""
    folder.mkdir()
    home = Home(folder)
    home.write(
        Programs("", Dialect.INI),
        main="files = conf.d/*.ini none/*.conf",
        daemon=f"nodaemon = false\nminfds = 600\ndirectory = {folder}\numask = 027\n",
    )
    mark = uuid.uuid4().hex
    low = f"ulimit -Sn 512; exec {BIN / daemon} -c {home.config}"
    try:
        subprocess.run(
            ["/bin/sh", "-c", low], cwd=folder, env=environment(mark), timeout=20, check=True
        )
        for times, signum in ((1, signal.SIGUSR2), (1, signal.SIGHUP), (2, signal.SIGTERM)):
            _until_started(home, times)
            os.kill(int(home.pid_file.read_text()), signum)
            if signum == signal.SIGUSR2:
                eventually(lambda: "logreopen" in _log(home))
        pid = int(re.findall(r"started with pid (\d+)", _log(home))[-1])
        eventually(lambda: not is_alive(pid))
    finally:
        kill_marked(mark)
    told = [line[24:].replace(str(folder), "HERE") for line in _log(home).splitlines()]
    return [
        re.sub(r"pid \d+", "pid N", _PLACE.sub("", line.replace("(HERE", "(/HERE")))
        for line in told
        if not _OURS.match(line)
    ]


def _until_started(home: Home, times: int) -> None:
    eventually(lambda: _log(home).count("started with pid") >= times)


def _log(home: Home) -> str:
    return home.log_file.read_text() if home.log_file.exists() else ""


def test_a_life_without_programs_is_told_alike(tmp_path: Path) -> None:
    """All it says of file and system, its server, its way to the background and its signals."""
    theirs = life("supervisord", tmp_path / "theirs")
    assert len(theirs) > 12
    assert life("opsvisord", tmp_path / "ours") == theirs
