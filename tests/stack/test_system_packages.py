"""What tests need of the system is installed, or said; never skipped."""

import subprocess
from pathlib import Path

from commands import Ran

_SCRIPT = Path(__file__).parents[2] / "tools" / "system_packages.sh"
_TOOLS = ("flock", "rm", "chmod")  # what the script uses besides Debian's


class Debian:
    """A PATH on which `installed` packages are there, and apt-get writes down what it is told."""

    def __init__(self, directory: Path, *, user: int, installed: str = "") -> None:
        self._bin = directory / "bin"
        self._bin.mkdir()
        self._told = directory / "told"
        self._answers = directory / "answers"
        self.policy = directory / "policy-rc.d"
        self._put("id", f"echo {user}")
        self._put("dpkg-query", f'case " {installed} " in *" $3 "*) echo -n installed;; esac')
        answer = f"{{ {self.policy} && echo any service || echo no service; }} >>{self._answers}"
        self._put("apt-get", f'echo "$@" >>{self._told}\n{answer}')
        for tool in _TOOLS:
            (self._bin / tool).symlink_to(Path("/bin") / tool)

    def remove(self, program: str) -> None:
        """Have this program no more."""
        (self._bin / program).unlink()

    def see_to(self, *packages: str) -> Ran:
        """Run the script for these packages."""
        done = subprocess.run(
            ["/bin/sh", _SCRIPT, *packages],
            env={"PATH": str(self._bin), "POLICY_RC_D": str(self.policy)},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    @property
    def told(self) -> list[str]:
        """What apt-get was called with."""
        return self._told.read_text().splitlines() if self._told.exists() else []

    @property
    def answers(self) -> list[str]:
        """What Debian would have started at each call of apt-get."""
        return self._answers.read_text().splitlines()

    def _put(self, name: str, script: str) -> None:
        (self._bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (self._bin / name).chmod(0o755)


def test_nothing_is_done_where_all_is_there(tmp_path: Path) -> None:
    """Neither apt-get nor root is needed then, and nothing is said."""
    debian = Debian(tmp_path, user=1000, installed="prometheus chromium")
    assert debian.see_to("prometheus", "chromium") == Ran(0, "", "")
    assert debian.told == []


def test_a_user_is_told_what_to_install(tmp_path: Path) -> None:
    """Only what is missing, with the command that cures it; and the run ends there."""
    debian = Debian(tmp_path, user=1000, installed="chromium")
    ran = debian.see_to("prometheus", "chromium", "nodejs")
    assert ran.status == 1
    assert ran.err.splitlines() == [
        "tools/system_packages.sh: not installed: prometheus nodejs",
        "    hint: sudo apt-get install --no-install-recommends prometheus nodejs",
    ]
    assert debian.told == []


def test_root_gets_what_is_missing(tmp_path: Path) -> None:
    """The lists first: a fresh machine has none. Then only what is missing."""
    debian = Debian(tmp_path, user=0, installed="chromium")
    assert debian.see_to("chromium", "prometheus").status == 0
    update, install = debian.told
    assert update.endswith("update")
    assert install.endswith("install --yes --no-install-recommends prometheus")


def test_installing_starts_no_service(tmp_path: Path) -> None:
    """Debian's policy forbids it meanwhile, and is afterwards what it was."""
    debian = Debian(tmp_path, user=0)
    debian.see_to("prometheus")
    assert debian.answers == ["no service", "no service"]  # 101 in README.policy-rc.d
    assert not debian.policy.exists()


def test_a_policy_that_exists_is_left_alone(tmp_path: Path) -> None:
    """A machine that says itself what may start goes on saying it."""
    debian = Debian(tmp_path, user=0)
    debian.policy.write_text("#!/bin/sh\nexit 0\n")
    debian.policy.chmod(0o755)
    debian.see_to("prometheus")
    assert debian.answers == ["any service", "any service"]
    assert debian.policy.read_text() == "#!/bin/sh\nexit 0\n"


def test_elsewhere_it_says_what_is_needed(tmp_path: Path) -> None:
    """On a system without Debian's packages there is nothing to install them with."""
    debian = Debian(tmp_path, user=0)
    debian.remove("dpkg-query")
    ran = debian.see_to("prometheus")
    assert ran.status == 1
    assert "this is no Debian" in ran.err
    assert "prometheus" in ran.err.splitlines()[-1]
