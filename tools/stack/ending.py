"""What has to be ended."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Ended(ABC):
    """A context manager that is itself, and is stopped at the end."""

    @abstractmethod
    def stop(self) -> None:
        """End it."""

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it."""
        self.stop()
