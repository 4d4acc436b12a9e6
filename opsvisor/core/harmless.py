"""Text that may be anybody's choice, made safe to print: apart, as opsvisorctl needs no more."""

import re

# Controls but newline and tab; marks of direction, spaces without a width, ends of lines that are
# none, and tags (UAX 9, 14 and 44).
_COMMANDING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\U000e0000-\U000e007f]"
)


def harmless(text: str) -> str:
    r"""Text in which nothing commands a terminal or turns what is read around.

    Programs and what clients ask for may be called anything. Control characters other than
    newline and tab are written as `\x1b`, and so are those that are not seen but change what is:
    marks of direction, and spaces without a width.
    """
    if text.isprintable():
        return text
    return _COMMANDING.sub(lambda found: ascii(found[0])[1:-1], text)
