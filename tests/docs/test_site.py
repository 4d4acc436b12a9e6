"""The site: built strictly, whole, and with figures that are what the engine goes by."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from opsvisor.core.spec import RestartPolicy
from opsvisor.core.state import TRANSITIONS, PublicState
from tools.site import figures
from tools.site.hooks import pages_abroad, with_links

_ROOT = Path(__file__).parents[2]
_LINKED = re.compile(r"""(?:src|href)=["']?([^"' >]+)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. Strictly: a link that leads nowhere is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", folder],
        cwd=_ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_in_the_site(site: Path) -> None:
    """Those of docs/ and those from abroad, and all are in the navigation."""
    pages = {path.relative_to(_ROOT / "docs").as_posix() for path in _ROOT.glob("docs/**/*.md")}
    pages -= {"images/README.md"}
    for page in pages | set(pages_abroad()):
        stem = page.removesuffix(".md")
        folder = stem.removesuffix("README").removesuffix("index")
        assert (site / folder / "index.html").exists(), page


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    """No fonts, scripts or pictures of others: it can be read on a machine without a network."""
    for page in site.glob("**/*.html"):
        for tag in re.findall(r"<(?:script|link|img)[^>]*>", page.read_text()):
            for target in _LINKED.findall(tag):
                assert "://" not in target, f"{page.relative_to(site)}: {tag}"


def test_links_lead_to_the_pages_of_the_site() -> None:
    """Those to pages from abroad, to folders, and to source, which is none of them."""
    known = {"guide/a.md", "alerts/README.md", "index.md"}
    page = (
        "[one](../../alerts) [two](../../alerts/README.md#x) [three `a[0]`](../../opsvisor/a.py)\n"
        "[four](../index.md)\n```\n[five](../../alerts)\n```\n"
    )
    assert with_links(page, "guide/a.md", known) == (
        "[one](../alerts/README.md) [two](../alerts/README.md#x) three `a[0]`\n"
        "[four](../index.md)\n```\n[five](../../alerts)\n```\n"
    )


def test_figures_are_fresh() -> None:
    """Drawn anew they are the same."""
    assert figures.main(["--check"]) == 0


def test_figure_of_states_has_them_all() -> None:
    """A new state, or a new way between two, is in the figure."""
    drawn = figures.drawn(figures.states)
    for state in PublicState:
        assert f">{state.value}<" in drawn
    arrows = drawn.count("clip-path") or len(re.findall(r'<g id="patch_', drawn))
    assert arrows >= sum(len(after) for after in TRANSITIONS.values())


def test_delays_in_the_figure_are_those_of_the_policy() -> None:
    """Eight restarts, the first at once if it had come up, none longer than the limit allows."""
    assert figures.delays(RestartPolicy(), uptime=5.0, jitter=0.0) == [
        0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0,
    ]  # fmt: skip
    assert figures.delays(RestartPolicy(), uptime=0.1, jitter=0.0)[0] == 0.5
