"""The page's own code: its types, and what can be told of it without a browser."""

import re
import subprocess
from pathlib import Path

import pytest
from node_project import NODE, installed

import opsvisor.web

PAGE = Path(opsvisor.web.__file__).parent
STATIC = PAGE / "static"
MODULES = sorted(path for path in NODE.glob("*.test.mjs"))
_LIMIT = 120.0

# What makes text into markup or code, whoever wrote the text.
DANGEROUS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser"
    r"|createContextualFragment|srcdoc(?!\")"
)


def run(*command: str | Path) -> None:
    """Run a checker, which has nothing to say where all is well."""
    done = subprocess.run(
        command, cwd=NODE, capture_output=True, text=True, timeout=_LIMIT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_types() -> None:
    """As strictly as the type checker can, and against the types of the API."""
    modules = installed()
    run("node", modules / "typescript" / "bin" / "tsc", "--project", "tsconfig.json")


def test_modules() -> None:
    """What is pure in the page has tests of its own, in its own language."""
    run("node", "--test", *MODULES)


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_every_module_is_checked_and_makes_no_markup(path: Path) -> None:
    """Nothing that a process is called, or says, can become more than text."""
    text = path.read_text()
    assert text.startswith("// @ts-check\n")
    assert DANGEROUS.findall(text) == []
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text


def test_the_page_itself_has_no_script_and_no_style_within() -> None:
    """The policy would refuse them, and the page would be bare."""
    text = (STATIC / "index.html").read_text()
    assert re.findall(r"<script[^>]*>", text) == ['<script type="module" src="/static/main.js">']
    assert "<style" not in text
    assert not re.search(r"\s(on\w+|style)=", text)


@pytest.mark.parametrize("path", sorted(STATIC.iterdir()), ids=lambda path: path.name)
def test_nothing_comes_from_elsewhere(path: Path) -> None:
    """It works without the internet: what it loads is here."""
    text = path.read_text().replace('import("../wire")', "")  # types, in comments
    loaded = re.findall(
        r"(?:src|href)=\"([^\"#]+)\"|url\(([^)]+)\)|import\(?\s*\"([^\"]+)\"", text
    )
    for places in loaded:
        place = next(filter(None, places))
        assert place.startswith(("/static/", "./", "data:")), place
        if not place.startswith("data:"):
            assert (STATIC / place.rpartition("/")[2]).exists(), place


@pytest.mark.parametrize("name", ["base.css", "process.css"])
def test_both_ways_to_the_dark_have_the_same_colours(name: str) -> None:
    """A system that is dark, and somebody who chose it: CSS can't say that in one rule."""
    text = (STATIC / name).read_text()
    system = re.search(r"dark\) \{\s*:root:not\(\[data-theme=\"light\"\]\) \{([^}]*)\}", text)
    chosen = re.search(r"^:root\[data-theme=\"dark\"\] \{([^}]*)\}", text, re.MULTILINE)
    assert system
    assert chosen
    assert system[1].split() == chosen[1].split()


def test_every_variable_of_the_styles_is_there_and_in_use() -> None:
    """A browser takes an unknown one for nothing, and says nothing."""
    styles = "".join(path.read_text() for path in STATIC.glob("*.css"))
    scripts = "".join(path.read_text() for path in STATIC.glob("*.js"))
    declared = set(re.findall(r"(--[\w-]+):", styles))
    used = set(re.findall(r"var\((--[\w-]+)", styles + scripts))
    assert declared - used == set()
    assert used - declared == set(re.findall(r"setProperty\(\"(--[\w-]+)\"", scripts))
