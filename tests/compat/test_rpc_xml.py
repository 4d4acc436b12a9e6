"""The XML of XML-RPC, beside the standard library's and Supervisor's own reading of it."""

import math
import xmlrpc.client
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from supervisor.xmlrpc import (  # type: ignore[import-untyped]  # comes without annotations
    supervisor_xmlrpc_handler,
)

from opsvisor.compat.supervisor.rpc.xml import (
    DEPTH_MAX,
    ELEMENTS_MAX,
    INT_MAX,
    INT_MIN,
    Call,
    NotACallError,
    decode_call,
    encode_answer,
    encode_fault,
)

SPEAKABLE = st.characters(exclude_categories=["Cs", "Cc"])
TEXTS = st.text(SPEAKABLE | st.sampled_from("\t\n<>&\"'"))
SCALARS = (
    st.booleans()
    | st.integers(INT_MIN, INT_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)
)


def call_with(value: str) -> bytes:
    """A call with this XML as its one parameter."""
    return (
        "<?xml version='1.0'?><methodCall><methodName>a.b</methodName><params><param>"
        f"{value}</param></params></methodCall>"
    ).encode()


def decoded(value: str) -> Any:
    """What this XML is as a parameter."""
    (param,) = decode_call(call_with(value)).params
    return param


def read_by_supervisor(document: bytes) -> Call:
    """What Supervisor makes of a call. Raises whatever it raises."""
    handler = supervisor_xmlrpc_handler(None, [])
    params, method = handler.loads(document.decode())
    return Call(method, params or ())


# -- calls -----------------------------------------------------------------------------------


@given(st.lists(VALUES, max_size=3))
def test_what_xmlrpc_client_sends_arrives(params: list[Any]) -> None:
    """Every value comes out as it was put in."""
    document = xmlrpc.client.dumps(tuple(params), "supervisor.x", allow_none=True).encode()
    assert decode_call(document) == Call("supervisor.x", tuple(params))


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("<value>plain</value>", "plain"),
        ("<value></value>", ""),
        ("<value/>", ""),
        ("<value><string/></value>", ""),
        ("<value> <string> a &lt; b </string> </value>", " a < b "),
        ("<value><string>a<!-- no -->b</string></value>", "ab"),
        ("<value><string><![CDATA[<a>]]></string></value>", "<a>"),
        ("<value><int> -5 </int></value>", -5),
        ("<value><i4>7</i4></value>", 7),
        ("<value><i8>7</i8></value>", "7"),
        ("<value><nil/></value>", None),
        ("<value><ex:nil xmlns:ex='x'/></value>", None),
        ("<value><boolean>1</boolean></value>", True),
        ("<value><boolean>true</boolean></value>", False),
        ("<value><double>1.5</double></value>", 1.5),
        ("<value><base64>aMOkbGxv</base64></value>", "hällo"),
        ("<value><base64/></value>", ""),
        (
            "<value><dateTime.iso8601>20261125T20:15:00</dateTime.iso8601></value>",
            datetime(2026, 11, 25, 20, 15, tzinfo=UTC).replace(tzinfo=None),
        ),
        ("<value><array><data/></array></value>", []),
        (
            "<value><array><data><value>a</value><value><int>1</int></value></data></array></value>",
            ["a", 1],
        ),
        ("<value><struct/></value>", {}),
        (
            "<value><struct><member><name>a</name><value>1</value></member></struct></value>",
            {"a": "1"},
        ),
        (
            "<value><struct><member><name/><value><int>2</int></value></member></struct></value>",
            {"": 2},
        ),
        ("<value>text<int>5</int>tail</value>", 5),
        ("<value><unheard><of>5</of></unheard></value>", None),
    ],
)
def test_values_mean_what_they_mean_to_supervisor(value: str, meant: object) -> None:
    """Oddities included: old clients were written against them."""
    assert decoded(value) == meant
    assert read_by_supervisor(call_with(value)).params == (meant,)


@pytest.mark.parametrize(
    "value",
    [
        "<value><int/></value>",
        "<value><int>five</int></value>",
        "<value><int>" + "9" * 5000 + "</int></value>",
        "<value><double>x</double></value>",
        "<value><array/></value>",
        "<value><struct><member><name>a</name></member></struct></value>",
        "<value><struct><member/></struct></value>",
        "<value><struct><name>ab</name></struct></value>",
        "<value><base64>x</base64></value>",
        "<value><base64>gA==</base64></value>",
        "<value><dateTime.iso8601>yesterday</dateTime.iso8601></value>",
        "",
        "<value>&#27;</value>",
        "<value>&unheard;</value>",
        "<value>",
    ],
)
def test_what_has_no_meaning_is_no_call(value: str) -> None:
    """A value that its type does not take, and XML that is none."""
    with pytest.raises(NotACallError):
        decode_call(call_with(value))
    with pytest.raises(Exception):  # noqa: B017, PT011 - of many kinds; it answers each with 400
        read_by_supervisor(call_with(value))


def test_params_may_be_missing() -> None:
    """Some clients leave them out where there are none."""
    document = b"<methodCall><methodName>a.b</methodName></methodCall>"
    assert decode_call(document) == Call("a.b", ())


@pytest.mark.parametrize("document", [b"", b"<methodCall/>", b"<a><methodName/></a>", b"\xff<a/>"])
def test_a_call_names_a_method(document: bytes) -> None:
    """Whatever else it is."""
    with pytest.raises(NotACallError):
        decode_call(document)


# -- what a document may not do --------------------------------------------------------------


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE methodCall>",
        '<!DOCTYPE m SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE m [<!ENTITY x "y">]>',
        '<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    ],
)
def test_no_doctype_is_read(doctype: str) -> None:
    """So no entity can be declared that grows, or that reads a file."""
    document = f"{doctype}<m><methodName>a.b</methodName></m>".encode()
    with pytest.raises(NotACallError, match="DOCTYPE"):
        decode_call(document)


def nested(depth: int) -> str:
    """Arrays in arrays."""
    begin, end = "<value><array><data>", "</data></array></value>"
    return begin * depth + end * depth


def test_depth_is_bounded() -> None:
    """Far beyond any call, far below any stack."""
    assert decoded(nested(DEPTH_MAX // 3 - 1))
    with pytest.raises(NotACallError, match="deeper"):
        decode_call(call_with(nested(DEPTH_MAX // 3)))


def test_the_number_of_values_is_bounded() -> None:
    """Each costs more memory than its few letters."""
    begin, end = "<value><array><data>", "</data></array></value>"
    most = ELEMENTS_MAX - 7
    assert len(decoded(begin + "<value/>" * most + end)) == most
    with pytest.raises(NotACallError, match="more elements"):
        decode_call(call_with(begin + "<value/>" * (most + 1) + end))


@given(st.binary())
@example(b"<a>" * 1000)
@example("<?xml version='1.0' encoding='utf-16'?><a/>".encode("utf-16"))
@example(b"<?xml version='1.0' encoding='unheard-of'?><a/>")
def test_any_bytes_are_a_call_or_none(document: bytes) -> None:
    """Nothing else is ever raised."""
    outcome_of(lambda: decode_call(document))


TAGS = st.sampled_from(
    [
        *("methodCall", "methodName", "params", "param", "value", "array", "data", "struct"),
        *("member", "name", "int", "boolean", "string", "double", "base64", "nil", "i8"),
    ]
)
DOCUMENTS = st.recursive(
    st.text("ab1. ", max_size=4),
    lambda inner: st.builds(
        lambda tag, parts: f"<{tag}>{''.join(parts)}</{tag}>", TAGS, st.lists(inner, max_size=3)
    ),
    max_leaves=12,
)


@given(DOCUMENTS)
def test_any_arrangement_of_elements_means_what_it_means_to_supervisor(body: str) -> None:
    """Or nothing, to both."""
    document = f"<methodCall><methodName>a.b</methodName>{body}</methodCall>".encode()
    assert outcome_of(lambda: decode_call(document)) == outcome_of(
        lambda: read_by_supervisor(document)
    )


def outcome_of(read: Callable[[], Call]) -> Call | None:
    """The call, or None if it is none."""
    try:
        call = read()
    except NotACallError:
        return None
    except (ValueError, TypeError, IndexError, SyntaxError):  # Supervisor's ways of saying so
        return None
    return call if call.method else None


# -- answers ---------------------------------------------------------------------------------


@given(VALUES)
def test_answers_are_written_as_the_standard_library_does(value: Any) -> None:
    """To the letter: there are clients that do without a parser."""
    expected = xmlrpc.client.dumps((value,), methodresponse=True).encode()
    assert encode_answer(value) == expected


@given(st.integers(0, 999), TEXTS)
def test_faults_are_written_as_the_standard_library_does(code: int, text: str) -> None:
    """To the letter as well."""
    expected = xmlrpc.client.dumps(xmlrpc.client.Fault(code, text)).encode()
    assert encode_fault(code, text) == expected


@given(st.text(st.characters()))
@example("\x1b[31mred\x1b[0m\0\ud800\ufffe")
def test_every_text_can_be_read_by_a_client(text: str) -> None:
    """What XML has no place for is replaced, and nothing else (but XML's own line ends)."""
    ((read,), _) = xmlrpc.client.loads(encode_answer(text))
    assert isinstance(read, str)
    wanted = text.replace("\r\n", "\n").replace("\r", "\n")
    assert len(read) == len(wanted)
    assert all(a in (b, "\ufffd") for a, b in zip(read, wanted, strict=True))


@pytest.mark.parametrize(
    ("number", "told"), [(2**40, INT_MAX), (-(2**40), INT_MIN), (INT_MAX, INT_MAX)]
)
def test_numbers_stay_within_32_bits(number: int, told: int) -> None:
    """No client reads more, and Supervisor answers with 500."""
    assert xmlrpc.client.loads(encode_answer(number))[0] == (told,)


def test_what_no_method_gives_is_a_bug() -> None:
    """XML-RPC has no way to say nothing."""
    with pytest.raises(AssertionError):
        encode_answer(None)


def test_odd_floats_are_written() -> None:
    """As the standard library does."""
    for odd in (math.inf, -math.inf):
        expected = xmlrpc.client.dumps((odd,), methodresponse=True).encode()
        assert encode_answer(odd) == expected
