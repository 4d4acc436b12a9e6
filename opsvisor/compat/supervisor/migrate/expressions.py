"""`%(…)s` of Supervisor's values as `{…}` and `${…}` of ours, where we have a word for it.

A value is split, stripped and looked up after its names were expanded, so a template can't be cut
from the raw text. Instead each name that can be carried is replaced by a word of letters and
digits that nobody wrote, the value is read as ever, and then the words become our templates.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from opsvisor.compat.supervisor.config.expansions import Names, expand
from opsvisor.compat.supervisor.config.refused import Refused
from opsvisor.core.struct import Struct, field

_EXPANSION = re.compile(r"%(?:%|\((?P<name>(?:[^()]|\([^()]*\))*)\)(?P<form>[^a-zA-Z%]*[a-zA-Z]))")
_NUMBER_FORM = re.compile(r"(?P<width>0?\d?)(?:d|i|u|s)", re.ASCII)
_VARIABLE = re.compile(r"\$(?=\{[A-Za-z_][A-Za-z0-9_]*\})")
_NUMBER = "process_num"
VARIABLE = "ENV_"  # what names of variables begin with
_NAMED = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Marked(Struct, frozen=True, kw_only=True):
    """A text whose carried names are words yet. `frozen` are names that became their values.

    Of each of these words there is a template, and the value that it stands for.
    """

    text: str
    templates: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    frozen: frozenset[str] = frozenset()

    def begins(self, text: str) -> bool:
        """Whether the first of a part of the text is a carried name."""
        return any(text.startswith(mark) for mark in self.templates)

    def filled(self, text: str) -> str:
        """A part of the text with all values."""
        for mark, value in self.values.items():
            text = text.replace(mark, value)
        return text

    def process(self, text: str) -> str | None:
        """A part of the text as a template of a process, where braces mean something."""
        return self._finish(text, escape_process)

    def daemon(self, text: str) -> str | None:
        """A part of the text for a value of the daemon, where only variables mean something."""
        return self._finish(text, escape_variables)

    def _finish(self, text: str, escape: Callable[[str], str]) -> str | None:
        """The template, None where the two ways of writing get into each other's way."""
        if not self.templates:
            return escape(text)
        done = ""
        for part in re.split(f"({'|'.join(map(re.escape, self.templates))})", text):
            template = self.templates.get(part)
            if template is None:
                done += escape(part)
            elif not done.endswith("$"):
                done += template
            elif template.startswith("{") and template.endswith("}") and ":" not in template:
                done += f"{template[:-1]}:}}"  # `${name}` would be a variable
            elif template.startswith(("{", "$")):
                return None
            else:
                done += template
        return done


def escape_process(text: str) -> str:
    """`text` as a template of a process that gives just this."""
    return text.replace("{", "{{").replace("}", "}}")


def escape_variables(text: str) -> str:
    """`text` as a value of the daemon that means just this."""
    return _VARIABLE.sub("$$", text)


def variables_in(template: str) -> list[str]:
    """The variables that a template names."""
    return _NAMED.findall(template)


def variable_at_front(template: str) -> str:
    """The variable that a template begins with, "" if with anything else."""
    found = _NAMED.match(template)
    return found[1] if found else ""


def names_in(raw: str) -> Iterator[str]:
    """The names that a text would have expanded."""
    return (found["name"] for found in _EXPANSION.finditer(raw) if found["name"] is not None)


def mark(raw: str, names: Names, carried: Mapping[str, str]) -> Marked:
    """The text with all names expanded but those in `carried`, which are kept as marks.

    `carried` has the template for each name. Raises Refused as `expand` does.
    """
    # Letters and digits only, so that a name may stand without quotes wherever a word may.
    stem = "Qm"
    while stem in raw or any(stem in str(value) for value in names.values()):
        stem += "Q"
    templates: dict[str, str] = {}
    values: dict[str, str] = {}
    frozen: set[str] = set()

    def replaced(found: re.Match[str]) -> str:
        name, form = found["name"], found["form"]
        if name is None:
            return found.group()
        template = _template(name, form, carried)
        if template is None:
            frozen.add(name)
            return found.group()
        word = f"{stem}{len(templates)}m"
        templates[word] = template
        values[word] = expand(found.group(), names, of="")
        return word

    text = expand(_EXPANSION.sub(replaced, raw), names, of="")
    return Marked(text=text, templates=templates, values=values, frozen=frozenset(frozen))


def try_mark(raw: str, names: Names, carried: Mapping[str, str]) -> Marked | None:
    """As `mark`; None where that can't be expanded, such as a name that isn't known yet."""
    try:
        return mark(raw, names, carried)
    except Refused:
        return None


def mark_most(
    raw: str,
    carried: Mapping[str, str],
    try_with: Callable[[Mapping[str, str]], Marked | None],
) -> Marked | None:
    """A text with as many variables marked as it can be: one that can't be freezes no other.

    `try_with` marks it with what is to be carried, and gives None where that won't do.
    """
    done = try_with(carried)
    if done is not None:
        return done
    kept = {name: text for name, text in carried.items() if not name.startswith(VARIABLE)}
    done = try_with(kept)
    for name in dict.fromkeys(names_in(raw)):
        if name in carried and name not in kept:
            more = {**kept, name: carried[name]}
            found = try_with(more)
            if found is not None:
                done, kept = found, more
    return done


def _template(name: str, form: str, carried: Mapping[str, str]) -> str | None:
    if name not in carried:
        return None
    if name != _NUMBER:
        return carried[name] if form == "s" else None
    number = _NUMBER_FORM.fullmatch(form)
    if number is None:
        return None
    width = number["width"]
    # Zeros in front of a number that is printed as a text are blanks to Python.
    return f"{{replica:{width}}}" if width and not form.endswith("s") else "{replica}"
