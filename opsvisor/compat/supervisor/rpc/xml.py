"""The XML of XML-RPC: a call in, an answer out.

Theory of operation
-------------------
A call is read with expat and no tree is built: an element is turned into its value when it ends,
and only the values of elements that are still open are held. What a document may do to its reader
is shut off: a DOCTYPE is refused, and with it every entity but the five of XML; elements may not
lie deeper than DEPTH_MAX, nor be more than ELEMENTS_MAX. The text is given to expat in one piece,
so the work grows with its length and not faster (CVE-2023-52425). The caller bounds its length.

What a value means is Supervisor's reading, oddities included, because clients were written against
it: text without a type is a string, a type nobody knows arrives as its text (`<i8>5</i8>` is "5"),
an empty one as None, and base64 as the text inside.

Answers are written to the letter as the standard library would, since there are clients that pick
them apart with regular expressions. Two things it does not do are done here: characters that no
XML can carry are replaced (U+FFFD), and numbers are kept to 32 bits. Either would otherwise be an
answer that no client can read.
"""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from xml.parsers import expat

from opsvisor.core.struct import Struct, field

Value = bool | int | float | str | datetime | None | Sequence["Value"] | Mapping[str, "Value"]

DEPTH_MAX = 64
ELEMENTS_MAX = 100_000
INT_MIN, INT_MAX = -(2**31), 2**31 - 1

# XML 1.0, production 2. Lone surrogates aren't characters either.
_UNSPEAKABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REPLACEMENT = "\ufffd"
_HEADER = "<?xml version='1.0'?>\n<methodResponse>\n"


class NotACallError(Exception):
    """A document that is no call: not XML, more than we read, or without a method's name.

    The text begins with Supervisor's word for it, which is in its log.
    """


class Call(Struct, frozen=True):
    """A method's name, and what it is called with."""

    method: str
    params: tuple[Any, ...]


def decode_call(document: bytes) -> Call:
    """The call that this document makes. NotACallError if it makes none."""
    reader = _Reader()
    try:
        return reader.read(document)
    except NotACallError:
        raise
    except expat.ExpatError as error:
        raise NotACallError(f"unmarshallable ({error})") from None
    except (ValueError, TypeError, IndexError) as error:  # a value that its type doesn't take
        raise NotACallError(f"unmarshallable (a value can't be read: {error})") from None


class _Element(Struct):
    """An element that has not ended: its text up to the first child, and its children's values.

    `pairs` has, for each child of no type (a struct's members), the values of its own children.
    """

    tag: str
    pieces: list[str] = field(default_factory=list)
    children: list[Any] = field(default_factory=list)
    pairs: list[list[Any]] = field(default_factory=list)

    @property
    def text(self) -> str | None:
        """None where there is none, which is not the same as the empty string here."""
        return "".join(self.pieces) or None


class _Reader:
    def __init__(self) -> None:
        self._open: list[_Element] = []
        self._count = 0
        self._method: str | None = None
        self._params: tuple[Any, ...] = ()

    def read(self, document: bytes) -> Call:
        # The name of an encoding inside the document counts for nothing: it is UTF-8, as there.
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._hear
        parser.Parse(document, True)
        if not self._method:
            raise NotACallError("no method name")
        return Call(self._method, self._params)

    def _begin(self, tag: str, _: dict[str, str]) -> None:
        self._count += 1
        if self._count > ELEMENTS_MAX or len(self._open) >= DEPTH_MAX:
            raise NotACallError(
                "unmarshallable (more elements, or deeper ones, than any call needs)"
            )
        self._open.append(_Element(tag))

    def _hear(self, text: str) -> None:
        element = self._open[-1]
        if not element.children:
            element.pieces.append(text)

    def _end(self, tag: str) -> None:
        element = self._open.pop()
        convert = _TYPES.get(tag)
        value = element.text if convert is None else convert(element)
        if tag == "methodName":
            self._method = element.text
        elif tag == "params":
            self._params = tuple(element.children)
        if self._open:
            self._open[-1].children.append(value)
            self._open[-1].pairs.append(element.children if convert is None else [])


def _refuse_doctype(*_: object) -> None:
    raise NotACallError("unmarshallable (a DOCTYPE is not read here)")


def _number(element: _Element) -> int:
    return int(_some(element.text))


def _floating(element: _Element) -> float:
    return float(_some(element.text))


def _moment(element: _Element) -> datetime:
    return datetime.strptime(_some(element.text), "%Y%m%dT%H:%M:%S")  # noqa: DTZ007 - has none


def _some(text: str | None) -> str:
    if text is None:
        raise ValueError("nothing where a number or a date is due")
    return text


def _value(element: _Element) -> Any:
    return element.children[0] if element.children else element.text or ""


def _struct(element: _Element) -> dict[str, Any]:
    return {name or "": value for name, value in element.pairs}


def _decoded_text(element: _Element) -> str:
    return base64.decodebytes((element.text or "").encode()).decode()


def _first(element: _Element) -> Any:
    return element.children[0]


_TYPES: dict[str, Callable[[_Element], Any]] = {
    "int": _number,
    "i4": _number,
    "boolean": lambda element: element.text == "1",
    "string": lambda element: element.text or "",
    "double": _floating,
    "dateTime.iso8601": _moment,
    "base64": _decoded_text,
    "array": _first,
    "data": lambda element: element.children,
    "struct": _struct,
    "value": _value,
    "param": _first,
}


# -- answers ---------------------------------------------------------------------------------


def encode_answer(value: Value) -> bytes:
    """The answer of a call that went well."""
    return (
        f"{_HEADER}<params>\n<param>\n{_written(value)}</param>\n</params>\n</methodResponse>\n"
    ).encode()


def encode_fault(code: int, text: str) -> bytes:
    """The answer of a call that ended in a fault."""
    told = _written({"faultCode": code, "faultString": text})
    return f"{_HEADER}<fault>\n{told}</fault>\n</methodResponse>\n".encode()


def _written(value: Value) -> str:
    match value:  # the frequent ones first: 500 processes are 7,000 values
        case str():
            return f"<value><string>{_escaped(value)}</string></value>\n"
        case bool():
            return f"<value><boolean>{value:d}</boolean></value>\n"
        case int():
            return f"<value><int>{capped(value)}</int></value>\n"
        case dict():
            members = [
                f"<member>\n<name>{_escaped(name)}</name>\n{_written(member)}</member>\n"
                for name, member in value.items()
            ]
            return f"<value><struct>\n{''.join(members)}</struct></value>\n"
        case list():
            members = [_written(member) for member in value]
            return f"<value><array><data>\n{''.join(members)}</data></array></value>\n"
        case float():
            return f"<value><double>{value!r}</double></value>\n"
        case _:
            raise AssertionError(f"no method answers with {value!r}")


def capped(number: float) -> int:
    """The whole number, within the 32 bits that XML-RPC has for it."""
    return min(max(int(number), INT_MIN), INT_MAX)


def _escaped(text: str) -> str:
    if not text.isprintable():  # most texts are one line, and need no search
        text = _UNSPEAKABLE.sub(_REPLACEMENT, text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
