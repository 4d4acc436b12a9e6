"""The one way in which a text is turned down."""


class Refused(ValueError):  # noqa: N818 - it reads as what happened
    """A text is no such value. `what` is Supervisor's own wording; `hint` says what to do."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
