"""Programs that print a lot while their daemon is killed and comes back, again and again."""

import random
import sys
from pathlib import Path

from daemon import StartDaemon

# Bursts of numbered lines on standard output, and the same with the high bit set on standard
# error, until SIGTERM; then how many there were.
_PROGRAM = r"""
import os, select, signal
over, number = [], 0
signal.signal(signal.SIGTERM, lambda *_: over.append(True))
while not over:
    lines = [b"%d %s\n" % (n, b"x" * (n % 97)) for n in range(number, number + 2000)]
    number += 2000
    text = b"".join(lines)
    for output in (1, 2):
        while text:
            text = text[os.write(output, text):]
        text = bytes(byte | 0x80 for byte in b"".join(lines))
    select.select([], [], [], 0.01)
os.write(1, b"end of %d\n" % number)
"""
_CRASHES = 4
_LOWER = bytes(range(0x80))
_UPPER = bytes(range(0x80, 0x100))


def test_floods_are_exact_across_crashes(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """Two streams in one file that is rotated every few milliseconds: not a byte more or less."""
    seed = random.randrange(1 << 32)
    sys.stdout.write(f"seed {seed}\n")
    chance = random.Random(seed)
    log = tmp_path / "flood.log"
    program = tmp_path / "flood.py"
    program.write_text(_PROGRAM)
    daemon = start_daemon(
        f"""
        [program.flood]
        command = {[sys.executable, "-I", "-S", str(program)]}
        min_uptime = "0s"
        log = {{ stdout = "{log}", stderr = "{log}", rotate_size = "300K", rotate_keep = 9999 }}
        """
    )
    pid = daemon.until("flood", "RUNNING").pid
    for _ in range(_CRASHES):
        daemon.crash()
        daemon.begin_and_crash(after=chance.uniform(0.1, 0.9))
        daemon.begin_again()
        assert daemon.until("flood", "RUNNING").pid == pid
    daemon.ctl("stop", "flood")
    daemon.until("flood", "STOPPED")
    backups = sorted(tmp_path.glob("flood.log.*"), key=lambda file: -int(file.suffix[1:]))
    assert len(backups) > _CRASHES
    text = b"".join(file.read_bytes() for file in [*backups, log])
    out, err = text.translate(None, _UPPER), text.translate(None, _LOWER)
    count = int(out.rpartition(b" ")[2])
    lines = b"".join(b"%d %s\n" % (n, b"x" * (n % 97)) for n in range(count))
    assert out == lines + b"end of %d\n" % count
    assert bytes(byte & 0x7F for byte in err) == lines
