import json
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parent.parent


def test_a_quick_run_measures_both_supervisors(tmp_path: Path) -> None:
    """Each measurement has samples of each contestant, and no process is left over."""
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--json", str(results)]
    options = ["--only", "small", "scrape", "--directory", str(tmp_path)]
    options += ["--peers", "opsvisor", "supervisor"]  # who needs no `make bench-setup`
    done = subprocess.run(
        [*command, *options], cwd=_ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "left over" not in done.stderr
    series = json.loads(results.read_text())["series"]
    assert {one["measurement"] for one in series} == {"small", "scrape"}
    assert all(samples for one in series for samples in one["samples"].values())
    assert "| `status` from the shell" in done.stdout
    assert "Failed:" not in done.stdout
