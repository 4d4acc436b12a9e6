"""How collecting went in one scrape: of each collector whether it worked, and how long it took."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from opsvisor.config.settings import Collector


class Tally:
    """Success and seconds of these collectors. `on_error` is told of bugs that were met."""

    def __init__(
        self,
        collectors: Iterable[Collector],
        *,
        mono: Callable[[], float],
        on_error: Callable[[Exception], None],
    ) -> None:
        self.failed: set[Collector] = set()
        self.seconds = dict.fromkeys(collectors, 0.0)
        self._mono = mono
        self._on_error = on_error

    @contextmanager
    def of(self, *collectors: Collector) -> Iterator[None]:
        """Whatever goes wrong in here costs the numbers of these, never the scrape.

        Those that this scrape did not ask for count for nothing.
        """
        began = self._mono()
        is_well = False
        try:
            yield
            is_well = True
        except OSError:
            pass  # too late (TimeoutError is one) or refused by the kernel: no bug, but no success
        except Exception as error:  # noqa: BLE001 - the other numbers must still be told
            self._on_error(error)
        took = self._mono() - began
        for collector in self.seconds.keys() & set(collectors):
            self.seconds[collector] += took
            if not is_well:
                self.failed.add(collector)
