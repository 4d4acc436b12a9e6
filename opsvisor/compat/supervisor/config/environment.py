r"""`environment=`: KEY=value pairs, separated by commas.

Supervisor reads them with `shlex`: up to 4.3 in its old mode, which has no escapes and takes
quotes off both ends of a value, later in POSIX mode. POSIX is what counts here; a text that only
the old mode understands (`A=it's`) is still read in the old mode. What both understand, but not in
the same way (`A="\\d"`, `A='"q"'`), is doubted.

Values are often secrets, so no message quotes more than the name of a variable.
"""

import re
import shlex
from collections.abc import Mapping

from opsvisor.compat.supervisor.config.refused import Refused
from opsvisor.core.struct import Struct

_UNQUOTED = "/.+-():"  # allowed in a word without quotes, besides letters, digits and _

# Quotes around a whole value mean the same in both modes. Only a backslash, any other quote, or a
# letter beyond ASCII without quotes (no letter in the old mode) can differ: few texts have one,
# and shlex is slow, so that no other text is read twice.
_WHOLE = re.compile(r"""=\s*(?:"[^"'\\]*"|'[^"'\\]*')(?=\s*(?:,|$))""")
_AMBIGUOUS = re.compile(r"""["'\\]|[^\0-\x7f]""")

# The kernel takes no variable of more than 128 KiB, and shlex needs seconds for a word of that.
_LENGTH_MAX = 256 * 1024
_USE_A_FILE = "let the program read what is long from a file"


class Variables(Struct, frozen=True):
    """The variables of one `environment=`. `doubts` are the places where it was likely misread.

    `differs`: by us, as Supervisor up to 4.3 has other values. Else both misread it.
    """

    values: Mapping[str, str]
    doubts: tuple[str, ...] = ()
    differs: bool = False


def parse_environment(text: str) -> Variables:
    """Read `A=1,B="two words"`; of a variable that is set twice the later value counts.

    Supervisor never looks at what separates two pairs, so `A=http://h/z?q=1` sets A and q. That
    is kept, and doubted. Raises Refused.
    """
    if len(text) > _LENGTH_MAX:
        raise Refused(f"environment is longer than {_LENGTH_MAX} characters", _USE_A_FILE)
    try:
        read = _pairs(text, _words(text, posix=True), ends="")
    except Refused as why:
        try:
            return _in_old_mode(text)
        except Refused:
            raise why from None
    # After another doubt, what looks like a name may be a piece of a value.
    if read.doubts or not _AMBIGUOUS.search(_WHOLE.sub("", text)):
        return read
    doubts = _doubt_mode(text, read.values)
    return Variables(read.values, doubts, differs=bool(doubts))


def _in_old_mode(text: str) -> Variables:
    return _pairs(text, _words(text, posix=False), ends="'\"")


def _doubt_mode(text: str, values: Mapping[str, str]) -> tuple[str, ...]:
    try:
        old = _in_old_mode(text).values
    except Refused:  # by Supervisor up to 4.3 as well: nobody is used to another value
        return ()
    names = [name for name, value in values.items() if old.get(name) != value]
    if not names:
        return ()
    check = "check backslashes, inner quotes and unquoted letters beyond ASCII"
    return (f"Supervisor up to 4.3 reads another value of {', '.join(names)}: {check}",)


def _words(text: str, *, posix: bool, comments: str = "#") -> list[str]:
    lexer = shlex.shlex(text, posix=posix)
    lexer.wordchars += _UNQUOTED
    lexer.commenters = comments
    try:
        return list(lexer)
    except ValueError as why:  # No closing quotation, No escaped character
        raise Refused(str(why), 'close the quote, or quote the value: KEY="it\'s"') from None


def _pairs(text: str, words: list[str], *, ends: str) -> Variables:
    values: dict[str, str] = {}
    doubts: list[str] = []
    for start in range(0, len(words), 4):
        pair, separator = words[start : start + 3], words[start + 3 : start + 4]
        if len(pair) < 3 or pair[1] != "=":  # noqa: PLR2004 - a key, an equals sign, a value
            raise Refused(
                "Unexpected end of key/value pairs in the value",
                f'write KEY="value",KEY2="value"; unquoted are letters, digits and _{_UNQUOTED}',
            )
        values[pair[0]] = pair[2].strip(ends) if ends else pair[2]
        # After the first doubt, what looks like a name may be a piece of the value before.
        if separator not in ([], [","]) and not doubts:
            doubts.append(f"{pair[0]} ends early, quote its value if it goes on")
    if _comment_hides_something(text, words, posix=not ends):
        doubts.append("'#' begins a comment, quote the value if it belongs to it")
    return Variables(values, tuple(doubts))


def _comment_hides_something(text: str, words: list[str], *, posix: bool) -> bool:
    if "#" not in text:
        return False
    try:
        return _words(text, posix=posix, comments="") != words
    except Refused:
        return True
