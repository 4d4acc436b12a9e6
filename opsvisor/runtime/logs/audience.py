"""Who is told what happens to the streams of a process, and what comes out of them."""

from opsvisor.runtime.logs.stream import Stream


class Audience:
    """Whom the streams of one process tell; this one wants to know nothing.

    One object with methods and not a callback for each of them: there is one for every process of
    thousands, and a callback that is bound to something takes 200 bytes.
    """

    __slots__ = ()

    @property
    def name(self) -> str:
        """Whose streams they are: with this, each of their lines to syslog begins."""
        return ""

    @property
    def overhears(self) -> bool:
        """Whether `overheard` is to be called."""
        return False

    def problem(self, stream: Stream, problem: str) -> None:
        """What is wrong with the log is another thing than before; "": nothing any more."""

    def unheard(self, stream: Stream, pipes: int) -> None:
        """Somebody whom an earlier run left is read no more: so many pipes of such are enough."""

    def told(self, stream: Stream, text: bytes) -> None:
        """Something was printed, and the spec wants it told."""

    def message(self, stream: Stream, text: bytes) -> None:
        """Instead of output, a message to whoever listens, whole."""

    def overheard(self, stream: Stream, text: bytes) -> None:
        """Something was printed, told or not."""

    def pipe(self, inode: int, reader: int, *, is_open: bool) -> None:
        """A pipe, known by its inode, has this descriptor, or is about to be closed."""
