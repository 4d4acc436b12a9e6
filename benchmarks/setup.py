"""`make bench-setup`: get the peers, into a folder of their own; nothing else is changed.

circus goes into an environment of its own, pm2 below a prefix of its own, and Debian's packages
are unpacked and not installed. Supervisor is there already: the tests need it.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.peers.peer import PEERS_DIRECTORY

_CIRCUS = "circus==0.19.0"
_PM2 = "pm2@7.0.4"
# s6-svscan runs s6-supervise by its full path, which nothing is put at: it is made to look beside
# the directory of services instead, where debian.py has a link to it.
_INSTALLED, _BESIDE = b"/usr/bin/s6-supervise", b"../s6-supervise"
_PACKAGES = (
    "runit",
    "s6",
    "libskarnet2.13",
    "libs6-2.11",
    "libexecline2.9",
    "prometheus-node-exporter",
    "prometheus-process-exporter",
)


def main() -> int:
    """Get what can be had; 1 if something can't."""
    PEERS_DIRECTORY.mkdir(exist_ok=True)
    failed = [name for name, get in _GETTERS.items() if not _got(name, get)]
    if failed:
        print(f"`make bench` will do without {', '.join(failed)}.")
    return 1 if failed else 0


def _got(name: str, get: Callable[[Path], None]) -> bool:
    target = PEERS_DIRECTORY / name
    if target.exists():
        print(f"{target} is there already; remove it to get it anew.")
        return True
    partial = PEERS_DIRECTORY / f"{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        get(partial)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{name} cannot be had: {error}", file=sys.stderr)
        return False
    partial.rename(target)
    return True


def _get_circus(directory: Path) -> None:
    # Scripts of an environment name the place of its Python: it can't be moved afterwards.
    directory.rmdir()
    target = PEERS_DIRECTORY / "circus"
    try:
        _run([sys.executable, "-m", "venv", str(target)])
        pip = [str(target / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        _run([*pip, "--quiet", "install", _CIRCUS])
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    target.rename(directory)


def _get_pm2(directory: Path) -> None:
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"]
    _run(["npm", "install", "--prefix", str(directory), *options, _PM2])


def _get_packages(directory: Path) -> None:
    _run(["apt-get", "--quiet=2", "download", *_PACKAGES], cwd=directory)
    versions = []
    for package in sorted(directory.glob("*.deb")):
        name, version, _ = package.name.split("_")
        versions.append(f"{name} {version.replace('%3a', ':')}\n")
        _run(["dpkg-deb", "--extract", str(package), str(directory)])
        package.unlink()
    svscan = directory / "usr" / "bin" / "s6-svscan"
    text = _BESIDE.ljust(len(_INSTALLED), b"\0")
    svscan.write_bytes(svscan.read_bytes().replace(_INSTALLED, text))
    (directory / "versions").write_text("".join(versions))


def _run(command: Sequence[str], cwd: Path | None = None) -> None:
    subprocess.run(command, check=True, cwd=cwd)


_GETTERS: dict[str, Callable[[Path], None]] = {
    "circus": _get_circus,
    "node": _get_pm2,
    "debian": _get_packages,
}

if __name__ == "__main__":
    sys.exit(main())
