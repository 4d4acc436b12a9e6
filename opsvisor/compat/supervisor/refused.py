"""The one way in which a text is turned down."""

import difflib
from collections.abc import Iterable


class Refused(ValueError):  # noqa: N818 - it reads as what happened
    """A text is no such value. `what` is Supervisor's own wording; `hint` says what to do."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


def did_you_mean(typed: str, known: Iterable[str]) -> str:
    """The question about the one name that is close enough to be meant, or ""."""
    close = difflib.get_close_matches(typed, known, n=1, cutoff=0.7)
    return f"did you mean '{close[0]}'?" if close else ""
