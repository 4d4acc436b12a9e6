"""`metrics`, in words: the samples of one process, or of the daemon, as a line for each subject.

A subject is left out where nothing is known of it. What no line speaks of comes last by its own
name, so that a daemon newer than this program hides nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from opsvisor.client import Sample
from opsvisor.ctl import render

_WHOSE = frozenset({"group", "process"})
_FRACTION_SHOWN = 0.9995  # above, three digits would say 100 % of what is less


class Line(NamedTuple):
    """What is known of one subject. `is_alarming`: somebody should look at it."""

    subject: str
    facts: list[str]
    is_alarming: bool = False


class Owner(NamedTuple):
    """A process by its names, as it is addressed and in its group."""

    name: str
    group: str
    process: str


class Readings:
    """Samples by name, and which of them have been spoken of."""

    def __init__(self, samples: Iterable[Sample], now: float) -> None:
        self.now = now
        self._samples: dict[str, list[Sample]] = defaultdict(list)
        for sample in samples:
            self._samples[sample.name].append(sample)
        self._told: set[str] = set()

    def value(self, name: str) -> float | None:
        """The value of a metric that has one series; None if it isn't there."""
        self._told.add(name)
        found = self._samples.get(name)
        return found[0].value if found else None

    def by(self, name: str, label: str) -> dict[str, float]:
        """The values of a metric by one of its labels, summed over the others."""
        self._told.add(name)
        values: dict[str, float] = defaultdict(float)
        for sample in self._samples.get(name, ()):
            values[sample.labels.get(label, "")] += sample.value
        return values

    def facts(self, name: str) -> dict[str, str]:
        """The labels of an info, without those that say whose it is."""
        self._told.add(name)
        found = self._samples.get(name)
        labels = found[0].labels if found else {}
        return {key: value for key, value in labels.items() if key not in _WHOSE}

    def mean(self, name: str) -> float | None:
        """The mean of a histogram without labels; None if nothing was observed."""
        self._told.add(f"{name}_bucket")
        count, total = self.value(f"{name}_count"), self.value(f"{name}_sum")
        return total / count if count and total is not None else None

    def ignore(self, *prefixes: str) -> None:
        """Speak of nothing that begins so."""
        self._told.update(name for name in self._samples if name.startswith(prefixes))

    def rest(self) -> Iterator[str]:
        """What nobody has spoken of, each series by itself."""
        for name, samples in self._samples.items():
            if name in self._told:
                continue
            for sample in samples:
                labels = {k: v for k, v in sample.labels.items() if k not in _WHOSE}
                shown = ",".join(f'{key}="{value}"' for key, value in labels.items())
                yield f"{name}{f'{{{shown}}}' if shown else ''} {number(sample.value)}"


def by_owner(samples: Iterable[Sample]) -> dict[Owner, list[Sample]]:
    """The samples of each process that there are any of, in the order of groups and names."""
    found: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.labels.keys() >= _WHOSE:
            found[sample.labels["group"], sample.labels["process"]].append(sample)
    return {
        Owner(process if group == process else f"{group}:{process}", group, process): own
        for (group, process), own in sorted(found.items(), key=itemgetter(0))
    }


def of_daemon(samples: Iterable[Sample]) -> list[Sample]:
    """The samples that are about no process."""
    return [
        sample
        for sample in samples
        if not sample.labels.keys() >= _WHOSE and not sample.name.startswith("node_supervisord_")
    ]


def state_of(samples: Iterable[Sample], name: str = "opsvisor_process_state") -> str:
    """`RUNNING`; "" if it isn't told."""
    for sample in samples:
        if sample.name == name and sample.value == 1:
            return sample.labels.get("state", "").upper()
    return ""


Speaker = Callable[[Readings], Line]


def tell(readings: Readings, speakers: Sequence[Speaker]) -> list[Line]:
    """What each of them has to say, then what nobody has spoken of."""
    lines = [speak(readings) for speak in speakers]
    lines.append(Line("More", list(readings.rest())))
    return [line for line in lines if line.facts]


def known(*facts: "tuple[float | None, Callable[[float], str]]") -> list[str]:
    """The words for each value that there is."""
    return [words(value) for value, words in facts if value is not None]


def ago(readings: Readings, at: float) -> str:
    """How long ago something was."""
    return length(max(0.0, readings.now - at))


def number(value: float) -> str:
    """A count with its thousands apart; what is no whole number as it is."""
    return f"{int(value):,}" if value == value // 1 and abs(value) < 1e15 else f"{value:g}"  # noqa: PLR2004 - where floats stop telling whole numbers apart


def counted(value: float, noun: str, several: str = "") -> str:
    """`1 start`, `1,204 starts`; what doesn't end in -s has its own word for `several`."""
    return f"{number(value)} {noun if value == 1 else several or f'{noun}s'}"


def length(seconds: float) -> str:
    """A time: `0.4 ms`, `120 ms`, `1.3 s`, and from ten seconds on in its two largest units."""
    if seconds == 0:
        return "0 s"
    if seconds < 1:
        thousandths = seconds * 1000
        return f"{thousandths:.1f} ms" if thousandths < 10 else f"{thousandths:.0f} ms"  # noqa: PLR2004 - two digits are enough
    return f"{seconds:.1f} s" if seconds < 10 else render.span(seconds)  # noqa: PLR2004 - as above


def size(count: float) -> str:
    """Bytes in a unit that is easy to read."""
    return render.size(int(count))


def percent(share: float) -> str:
    """A share in percent; never 100 % of what isn't all of it."""
    if _FRACTION_SHOWN <= share < 1:
        return "99.9 %"
    return f"{share * 100:.3g} %"
