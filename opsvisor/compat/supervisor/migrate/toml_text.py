"""Values as TOML, in the form a person would have chosen."""

import re
from collections.abc import Iterable

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_NOT_PLAIN = re.compile(r'["\\\x00-\x1f\x7f]')
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # what neither literals nor comments may hold
_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_REPLACEMENT = "\ufffd"


def string(text: str) -> str:
    """`text` as a TOML string: on several lines if it has some, in the quotes that are easier.

    Half a surrogate pair can't be said in TOML; a question mark stands for it.
    """
    text = text.encode("utf-8", "replace").decode("utf-8")
    if not _NOT_PLAIN.search(text):
        return f'"{text}"'
    if "\n" in text and not _CONTROL.search(text.replace("\n", "")):
        return _on_several_lines(text)
    if "'" not in text and "\t" not in text and not _CONTROL.search(text):
        return f"'{text}'"
    return f'"{_NOT_PLAIN.sub(_escaped, text)}"'


def array(texts: Iterable[str]) -> str:
    """An array of strings on one line."""
    return f"[{', '.join(map(string, texts))}]"


def key(*path: str) -> str:
    """A dotted key, each part in quotes where it must be."""
    return ".".join(
        part if _BARE_KEY.fullmatch(part) else f'"{_NOT_PLAIN.sub(_escaped, part)}"'
        for part in path
    )


def comment(text: str) -> str:
    r"""A comment of one line; an empty one stands for a blank line between comments.

    A byte that is no text, as paths may have, is told as `\udcff`.
    """
    text = text.encode(errors="backslashreplace").decode()
    return f"# {_CONTROL.sub(_REPLACEMENT, text)}".rstrip() if text else ""


def _on_several_lines(text: str) -> str:
    text = text.replace("\\", "\\\\")
    if '"""' in text or text.endswith('"'):
        text = text.replace('"', '\\"')
    return f'"""\n{text}"""'


def _escaped(character: re.Match[str]) -> str:
    found = character.group()
    if found in '"\\':
        return f"\\{found}"
    return _ESCAPES.get(found) or f"\\u{ord(found):04x}"
