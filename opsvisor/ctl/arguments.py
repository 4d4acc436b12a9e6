"""The words after a command, told apart: its options as the registry has them, and the rest."""

from collections.abc import Sequence
from typing import NamedTuple

from opsvisor.ctl.registry import COMMANDS, Option
from opsvisor.ctl.session import BadArguments


class Arguments(NamedTuple):
    """`words` are those that are no option, `given` the values of options by their names."""

    words: list[str]
    given: dict[str, str]

    def has(self, option: str) -> bool:
        """Whether this option was given."""
        return option in self.given


def told_apart(command: str, words: Sequence[str]) -> Arguments:
    """Options wherever they stand, as `--for ready` or `--for=ready`; after `--` there are none.

    Those of one letter may stand together, and what follows them in the same word: `-fn20`.

    Raises BadArguments for one that the command doesn't have, that stands there twice, or whose
    value is missing or none of its choices.
    """
    options = COMMANDS[command].options
    known = {option.name: option for option in options}
    short = {option.short: option for option in options if option.short}
    rest, given = list[str](), dict[str, str]()
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            return Arguments([*rest, *left], given)
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        if word[:2] in short and len(word) > 2:  # noqa: PLR2004 - a dash and a letter
            rest_of_word = word[2:] if short[word[:2]].value else f"-{word[2:]}"
            left.insert(0, rest_of_word)
            word = word[:2]
        name, equals, value = word.partition("=")
        name = short[name].name if name in short else name
        option = known.get(name)
        if option is None:
            raise BadArguments(f"{command} has no option {name}")
        if name in given:
            raise BadArguments(f"{name} is given twice")
        if option.value and not equals:
            if not left:
                raise BadArguments(f"{name} needs a value: {option.usage}")
            value = left.pop(0)
        given[name] = _checked(option, value, is_given=bool(equals))
    return Arguments(rest, given)


def _checked(option: Option, value: str, *, is_given: bool) -> str:
    if not option.value and is_given:
        raise BadArguments(f"{option.name} takes no value")
    if option.choices and value not in option.choices:
        raise BadArguments(f"{option.name} is one of {', '.join(option.choices)}, not {value!r}")
    return value
