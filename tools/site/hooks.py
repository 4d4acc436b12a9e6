"""What mkdocs has to know of this repository beyond its own ways.

Pages are written to be read in the repository, where links lead to files. Some of those lie
outside of docs/: pages among them (ABROAD) come into the site, at the path they have in the
repository. Links to anything else, that is to source, are no links in the site.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_ROOT = Path(__file__).resolve().parents[2]
_DOCS = "docs/"
# A page's name on the site is that of its file, but a README is what one sees of its folder.
ABROAD = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "alerts/README.md",
    "alerts/runbooks/*.md",
    "deploy/README.md",
    "grafana/README.md",
)
# The text of a link may hold code with brackets in it, and a picture.
_LINK = re.compile(
    r"(?P<mark>!?)\[(?P<text>(?:`[^`]*`|[^\[\]`]|\[[^\]]*\]\([^)]*\))*)\]\((?P<to>[^)\s]+)\)"
)
_NOTICE = re.compile(r"\A<!--.*?-->\s*", re.DOTALL)
_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)


def pages_abroad() -> Iterator[str]:
    """The pages outside of docs/ that come into the site, by their path in the repository."""
    for pattern in ABROAD:
        for path in sorted(_ROOT.glob(pattern)):
            yield path.relative_to(_ROOT).as_posix()


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Write out, in the navigation, folders that stand there as `folder/`."""
    config.nav = _written_out(config.nav or [])
    return config


def _written_out(nav: list[Any]) -> list[Any]:
    found = list[Any]()
    for item in nav:
        if isinstance(item, str):
            found += _pages_of(item) if item.endswith("/") else [item]
        else:
            found += [
                {title: _written_out(entry) if isinstance(entry, list) else entry}
                for title, entry in item.items()
            ]
    return found


def _pages_of(folder: str) -> Iterator[str]:
    for root in (_ROOT / _DOCS, _ROOT):
        for path in sorted((root / folder).glob("*.md")):
            yield path.relative_to(root).as_posix()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Bring the pages from abroad in."""
    for path in pages_abroad():
        files.append(File.generated(config, path, content=(_ROOT / path).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Have links lead to where their files are in the site, if they are there."""
    del config
    known = {file.src_uri for file in files}
    here = page.file.src_uri
    # A page is called by its first heading, if that is the first thing in it.
    return with_links(_NOTICE.sub("", markdown), here, known)


def with_links(markdown: str, here: str, known: set[str]) -> str:
    """A page at `here`, with its links as they are among the pages `known` of the site.

    Both are paths in the site. Blocks of code are left alone.
    """
    parts = []
    end = 0
    for fence in _FENCE.finditer(markdown):
        parts += [_linked(markdown[end : fence.start()], here, known), fence.group()]
        end = fence.end()
    return "".join([*parts, _linked(markdown[end:], here, known)])


def _linked(text: str, here: str, known: set[str]) -> str:
    in_repository = here if here in set(pages_abroad()) else f"{_DOCS}{here}"
    folder = posixpath.dirname(in_repository)

    def replaced(found: re.Match[str]) -> str:
        to, _, anchor = found["to"].partition("#")
        label = _linked(found["text"], here, known)
        if not to or "://" in to or to.startswith("mailto:"):
            return f"{found['mark']}[{label}]({found['to']})"
        path = posixpath.normpath(posixpath.join(folder, to))
        target = _in_site(path, known)
        if target is None:
            if path.startswith(_DOCS):
                return found.group()  # strict mkdocs says that it leads nowhere
            return label
        relative = posixpath.relpath(target, posixpath.dirname(here) or ".")
        return f"{found['mark']}[{label}]({relative}{'#' if anchor else ''}{anchor})"

    return _LINK.sub(replaced, text)


def _in_site(path: str, known: set[str]) -> str | None:
    """Where a file or folder of the repository is in the site."""
    inside = path.removeprefix(_DOCS) if path.startswith(_DOCS) else path
    for candidate in (inside, f"{inside}/README.md", f"{inside}/index.md"):
        if candidate in known:
            return candidate
    return None
