"""Which of its outputs a process writes to."""

from opsvisor.core.enums import HashedById


class Stream(HashedById):
    """The two outputs of a process."""

    STDOUT = "stdout"
    STDERR = "stderr"
