"""As much of PromQL as it takes to judge a query: its selectors, and what is done to each."""

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""
    (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<range>\[[^\]]*\])
  | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*|\$\w+|\$\{\w+\})
  | (?P<number>[0-9][0-9.e+-]*[a-z]*)
  | (?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^(){},=<>@])
    """,
    re.VERBOSE,
)
_GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}


@dataclass(frozen=True, slots=True)
class Matcher:
    """`label op "value"`."""

    label: str
    operator: str
    value: str


@dataclass(slots=True)
class Selector:
    """A metric in a query. `call` is the function or aggregation right around it, if any."""

    metric: str
    matchers: list[Matcher] = field(default_factory=list)
    window: str = ""
    call: str = ""

    def says(self, label: str, operator: str, value: str) -> bool:
        """Whether it has exactly this matcher."""
        return Matcher(label, operator, value) in self.matchers


def selectors(query: str) -> list[Selector]:
    """All selectors of a query, from left to right. Each is written with braces."""
    tokens = [(m.lastgroup or "", m.group()) for m in _TOKEN.finditer(query)]
    found: list[Selector] = []
    calls: list[str] = []
    at = 0
    while at < len(tokens):
        kind, text = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        if text == "(":
            calls.append(_called(tokens, at))
        elif text == ")":
            calls.pop()
        elif kind == "range":
            found[-1].window = text[1:-1]
        elif kind == "name" and following == "{":
            selector = Selector(text, call=calls[-1] if calls else "")
            at = _read_matchers(tokens, at + 2, selector)
            found.append(selector)
        at += 1
    assert not calls, f"a parenthesis is left open: {query}"
    return found


def _called(tokens: list[tuple[str, str]], opening: int) -> str:
    """The name before a parenthesis; of `sum by (x) (` it is `sum`."""
    kind, text = tokens[opening - 1] if opening else ("", "")
    if text == ")":
        before = opening - 1
        while tokens[before][1] != "(":
            before -= 1
        if tokens[before - 1][1] in _GROUPING:
            return tokens[before - 2][1]
    return text if kind == "name" else ""


def _read_matchers(tokens: list[tuple[str, str]], at: int, selector: Selector) -> int:
    while tokens[at][1] != "}":
        if tokens[at][1] == ",":
            at += 1
            continue
        (_, label), (_, operator), (kind, value) = tokens[at : at + 3]
        assert kind == "string", f"{label} {operator} {value}"
        selector.matchers.append(Matcher(label, operator, value[1:-1]))
        at += 3
    return at
