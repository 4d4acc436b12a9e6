"""Asks a Prometheus all that the dashboards ask, the way Grafana does, until there is an answer.

What is asked is written out with the values that Grafana would put in. A query that Prometheus
can't carry out raises; one that has found nothing yet is asked again.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from drawn import Panel, label_values, load_all, panels_of, query_variables_of

from tools.stack import Prometheus, until

_PROCESS_BOARD = "opsvisor-process"
# Scraped each second: four intervals, and one with the step of a minute that bars have.
_RATE_INTERVAL = "5s"
_RATE_INTERVAL_OF_BARS = "65s"
_STEP = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One query of a dashboard. `name` says where it stands."""

    board: str
    name: str
    text: str
    is_instant: bool
    rate_interval: str = _RATE_INTERVAL
    links_to_process: bool = False

    @property
    def id(self) -> str:
        """Dashboard, panel and query."""
        return f"{self.board}: {self.name}"

    @property
    def is_of_one_process(self) -> bool:
        """Whether Grafana would ask it about the chosen process."""
        return self.board == _PROCESS_BOARD


@dataclass(slots=True)
class Answers:
    """What came of it: the questions without an answer, and the labels of the answers."""

    unanswered: set[str] = field(default_factory=set)
    labels: dict[str, set[str]] = field(default_factory=dict)
    seconds: float = 0.0


def questions() -> list[Question]:
    """All that all dashboards ask, except for the values of variables."""
    return [
        question
        for name, board in load_all().items()
        for question in (
            *(one for panel in panels_of(board) for one in _of_panel(name, panel)),
            *(
                Question(
                    board=name,
                    name=f"annotation {annotation['name']}",
                    text=annotation["expr"],
                    is_instant=False,
                )
                for annotation in board["annotations"]["list"]
            ),
        )
    ]


def _of_panel(board: str, panel: Panel) -> Iterator[Question]:
    link = any(one["url"] for one in panel["fieldConfig"]["defaults"].get("links", ()))
    for target in panel["targets"]:
        yield Question(
            board=board,
            name=f"{panel['title']} {target['refId']}",
            text=target["expr"],
            is_instant=target["instant"],
            rate_interval=_RATE_INTERVAL_OF_BARS if "interval" in panel else _RATE_INTERVAL,
            links_to_process=link,
        )


class Proof:
    """Questions to a Prometheus that began to scrape at `since`."""

    def __init__(self, prometheus: Prometheus, *, job: str, instance: str) -> None:
        self._prometheus = prometheus
        self._since = time.time()
        self._chosen = {"job": job, "instance": ".+"}
        self._one_host = {"job": job, "instance": instance}

    def variables(self) -> dict[str, list[str]]:
        """The values that each variable offers, by dashboard and name, as soon as all have some.

        A variable is asked with what the ones before it are at first: everything, or the first.
        """
        return {
            f"{name}: {variable['name']}": until(partial(self._values, name, variable))
            for name, board in load_all().items()
            for variable in query_variables_of(board)
        }

    def _values(self, board: str, variable: dict[str, object]) -> list[str]:
        selector, label = label_values(variable)
        group = self.processes()[0][0] if board == _PROCESS_BOARD else ".+"
        text = self._written_out(board, selector, {"group": group})
        return self._prometheus.label_values(label, match=[text])

    def processes(self) -> list[tuple[str, str]]:
        """Group and name of each process."""
        found = self._prometheus.query("opsvisor_process_up")
        return sorted({(one.metric["group"], one.metric["process"]) for one in found})

    def ask_until_answered(self, asked: Sequence[Question], *, patience: float) -> Answers:
        """Ask again and again, until all have an answer or patience ends."""
        answers = Answers(unanswered={question.id for question in asked})

        scraped = 0.0

        def look() -> bool:
            nonlocal scraped
            latest = self._prometheus.value("max(timestamp(up))")
            if latest < scraped + _STEP:
                return False  # it knows nothing new
            scraped = latest
            for question in asked:
                if question.id in answers.unanswered:
                    labels = self.ask(question)
                    if labels is not None:
                        answers.unanswered.remove(question.id)
                        answers.labels[question.id] = labels
            return not answers.unanswered or time.time() - self._since > patience

        until(look, patience=2 * patience)
        answers.seconds = time.time() - self._since
        return answers

    def ask(self, question: Question) -> set[str] | None:
        """The labels that the answer has in common, None if it holds no number.

        Of one process: the first that has an answer. They are asked one by one only if all of
        them together have any.
        """
        everything = {"group": ".+", "process": ".+"}
        if not question.is_of_one_process:
            return self._ask(question, everything)
        if self._ask(replace(question, text=_of_any(question.text)), everything) is None:
            return None
        for group, process in self.processes():
            labels = self._ask(question, {"group": group, "process": process})
            if labels is not None:
                return labels
        return None

    def _ask(self, question: Question, chosen: dict[str, str]) -> set[str] | None:
        text = self._written_out(question.board, question.text, chosen)
        text = text.replace("$__rate_interval", question.rate_interval)
        now = time.time()
        text = text.replace("$__range", f"{now - self._since + 1:.0f}s")
        if question.is_instant:
            samples = self._prometheus.query(text)
            found = [one.metric for one in samples if one.number == one.number]
        else:
            series = self._prometheus.query_range(text, start=self._since, end=now, step=_STEP)
            found = [one.metric for one in series if one.has_numbers]
        return set.intersection(*map(set, found)) if found else None

    def _written_out(self, board: str, text: str, chosen: dict[str, str]) -> str:
        of_one_host = board in {_PROCESS_BOARD, "opsvisor-host"}
        for name, value in {**(self._one_host if of_one_host else self._chosen), **chosen}.items():
            text = text.replace(f'"${name}"', f'"{value}"')
        return text


def _of_any(text: str) -> str:
    return text.replace('="$group"', '=~"$group"').replace('="$process"', '=~"$process"')
