"""What is filled into values: the names of a process in braces, and variables as `${NAME}`.

`{replica}` is the number of a replica; `{replica:02}` pads it. `{program}`, `{group}` and
`{process}` are what it is called. `{{` and `}}` stand for braces. Anything else in braces is
refused, so that a later version can give it a meaning without changing what anybody's file says
today. `${NAME}` is a variable of the daemon's own environment, so that a secret need not stand in
a file; `$${NAME}` is taken as it is.
"""

import re
from collections.abc import Mapping

from opsvisor.config.units import Refused

Names = Mapping[str, str | int]

_VARIABLE = r"\$?\$\{(?P<variable>[A-Za-z_][A-Za-z0-9_]*)\}"
_VARIABLES = re.compile(_VARIABLE)
_PART = re.compile(
    rf"{_VARIABLE}|\{{\{{|\}}\}}|\{{(?P<name>[^{{}}:]*)(?::(?P<form>[^{{}}]*))?\}}|[{{}}]"
)
# Width and base are all that makes sense for a small number.
_FORM = re.compile(r"\d{0,2}[bdoxX]?", re.ASCII)


def fill(template: str, names: Names, environ: Mapping[str, str]) -> str:
    """`template` with these names and variables. Raises Refused, which quotes one part only.

    Only that part, because the whole may be a secret in an environment variable.
    """
    if "{" not in template and "}" not in template:
        return template
    return _PART.sub(lambda part: _part(part, names, environ), template)


def fill_variables(text: str, environ: Mapping[str, str]) -> str:
    """`text` with only `${NAME}` filled in: for values of the daemon, where braces are braces."""
    if "${" not in text:
        return text
    return _VARIABLES.sub(lambda part: _variable(part, environ), text)


def _part(part: re.Match[str], names: Names, environ: Mapping[str, str]) -> str:
    text, name, form = part.group(), part["name"], part["form"]
    if part["variable"]:
        return _variable(part, environ)
    if text in ("{{", "}}"):
        return text[0]
    if name is None:
        raise Refused(f"holds a lone '{text}'", _hint(names))
    value = names.get(name)
    if value is None:
        raise Refused(f"holds '{text}', which means nothing here", _hint(names))
    if isinstance(value, str):
        if form:
            raise Refused(f"holds '{text}', but only a number can be padded", f"try {{{name}}}")
        return value
    if form and not _FORM.fullmatch(form):
        raise Refused(f"holds '{text}', which is no way to write a number", f"try {{{name}:02}}")
    return format(value, form or "")


def _variable(part: re.Match[str], environ: Mapping[str, str]) -> str:
    text, name = part.group(), part["variable"]
    if text.startswith("$$"):
        return text[1:]
    if name not in environ:
        hint = f"set {name} before the daemon starts; $${{{name}}} would be taken as it is"
        raise Refused(f"holds '{text}', a variable that isn't set", hint)
    return environ[name]


def _hint(names: Names) -> str:
    known = ", ".join(f"{{{name}}}" for name in names)
    return f"known: {known}; for a brace write {{{{ or }}}}"
