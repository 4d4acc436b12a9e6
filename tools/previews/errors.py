"""What can go wrong when pictures are taken."""

from tools.stack.errors import StackError


class PreviewError(StackError):
    """The page can't be built or drawn."""
