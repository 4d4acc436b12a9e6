"""Small words of the core: names, outcomes, environments, moments."""

import pytest
from programs import program

from opsvisor.core.instant import Instant
from opsvisor.core.outcome import Outcome, signal_name
from opsvisor.core.spec import ProcessId


@pytest.mark.parametrize(
    ("group", "name", "text"), [("web", "web", "web"), ("app", "web", "app:web")]
)
def test_a_process_is_named_as_supervisor_names_it(group: str, name: str, text: str) -> None:
    """The group is said only where it differs from the name."""
    assert str(ProcessId(group, name)) == text


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Outcome(code=3), "exit status 3"),
        (Outcome(signum=15), "terminated by SIGTERM"),
        (Outcome(signum=11, core_dumped=True), "terminated by SIGSEGV (core dumped)"),
        (Outcome(signum=35), "terminated by SIG35"),
        (Outcome(), "exit status unknown"),
    ],
)
def test_outcomes_are_worded_as_supervisor_words_them(outcome: Outcome, text: str) -> None:
    """Log readers grep for these."""
    assert str(outcome) == text


def test_signals_without_a_name_keep_their_number() -> None:
    """Real-time signals have no name in Python's table."""
    assert [signal_name(1), signal_name(42)] == ["SIGHUP", "SIG42"]


def test_own_variables_win_over_the_daemons() -> None:
    """The daemon's environment is passed on, overlaid with the process's own."""
    spec = program("web", environment=(("PORT", "80"), ("A", "2")))
    assert spec.environment_over({"A": "1", "HOME": "/"}) == {"A": "2", "HOME": "/", "PORT": "80"}


def test_the_wall_clock_follows_the_monotonic_one() -> None:
    """A deadline is shown to people as seen from now."""
    now = Instant(mono=100.0, wall=1_700_000_000.0)
    assert now.wall_at(130.0) == 1_700_000_030.0
    assert now.wall_at(90.0) == 1_699_999_990.0
