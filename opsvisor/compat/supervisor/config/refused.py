"""The one way in which a text is turned down."""


class Refused(ValueError):  # noqa: N818 - it reads as what happened
    """A text is no such value. `what` is Supervisor's own wording; `hint` says what to do."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class NotThere(Refused):
    """A text names a folder that isn't there. `value` is what it would be read as."""

    def __init__(self, what: str, hint: str, *, value: str) -> None:
        super().__init__(what, hint)
        self.value = value
