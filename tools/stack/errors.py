"""What can go wrong when a stack is started or asked."""


class StackError(Exception):
    """The message says what, and the hint how to put it right."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}\n    hint: {hint}" if hint else message)
