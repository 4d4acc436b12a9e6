"""The one thing that is filled into values: `{replica}`, the number of a replica from 0.

`{replica:02}` pads it, `{{` and `}}` stand for braces. Anything else in braces is refused, so
that a later version can give it a meaning without changing what anybody's file says today.
"""

import re

from opsvisor.config.units import Refused

_PART = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}:]*)(?::(?P<form>[^{}]*))?\}|[{}]")
# Width and base are all that makes sense for a small number.
_FORM = re.compile(r"\d{0,2}[bdoxX]?", re.ASCII)
_ESCAPE_HINT = "only {replica} is filled in; for a brace write it twice: {{ or }}"


def fill(template: str, replica: int) -> str:
    """`template` for this replica. Raises Refused, which quotes the offending part only.

    Only that part, because the whole may be a secret in an environment variable.
    """
    if "{" not in template and "}" not in template:
        return template
    return _PART.sub(lambda part: _part(part, replica), template)


def _part(part: re.Match[str], replica: int) -> str:
    text, name, form = part.group(), part["name"], part["form"]
    if text in ("{{", "}}"):
        return text[0]
    if name is None:
        raise Refused(f"holds a lone '{text}'", _ESCAPE_HINT)
    if name != "replica":
        raise Refused(f"holds '{text}', which means nothing here", _ESCAPE_HINT)
    if form and not _FORM.fullmatch(form):
        raise Refused(f"holds '{text}', which is no way to write a number", "try {replica:02}")
    return format(replica, form or "")
