import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsvisor.config import units
from opsvisor.config.units import Refused
from opsvisor.core.spec import ExitSet


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("0s", 0.0),
        ("30s", 30.0),
        ("1.5s", 1.5),
        ("10m", 600.0),
        ("1h", 3600.0),
        ("1d", 86400.0),
        ("1h30m", 5400.0),
        ("1d2h3m4s5ms", 93784.005),
        ("90m", 5400.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """Each unit counts as it should, alone and together."""
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "1.5", "s", "10 s", "10sec", "-1s", "1s1m", "1s1s", "1e3s", "never", "٣s"]
)
def test_what_is_no_duration(text: str) -> None:
    """Nothing is guessed: no bare numbers, blanks, signs, other units or other orders."""
    with pytest.raises(Refused, match="is not a duration"):
        units.parse_duration(text)


def test_a_bare_number_is_answered_with_units() -> None:
    """The commonest slip gets the two likely meanings as an answer."""
    with pytest.raises(Refused) as caught:
        units.parse_duration("10")
    assert caught.value.hint == (
        'a duration needs a unit: "10s" for seconds, "10ms" for milliseconds'
    )


@pytest.mark.parametrize("text", ["3651d", "9" * 400 + "d"])
def test_durations_end_at_ten_years(text: str) -> None:
    """A number with too many digits is refused, and never becomes infinity."""
    with pytest.raises(Refused, match="ten years"):
        units.parse_duration(text)


@given(st.integers(min_value=0, max_value=int(units.DURATION_MAX * 1000)))
def test_durations_go_round(milliseconds: int) -> None:
    """What is shown can be typed again and means exactly the same."""
    seconds = milliseconds / 1000
    assert units.parse_duration(units.format_duration(seconds)) == seconds


@given(st.floats(min_value=0, max_value=units.DURATION_MAX))
def test_durations_of_any_precision_go_round(seconds: float) -> None:
    """Even a fraction of a millisecond survives."""
    assert units.parse_duration(units.format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.5, "500ms"), (90, "1m30s"), (5400, "1h30m"), (2e5, "2d7h33m20s")],
)
def test_durations_are_shown_in_whole_units(seconds: float, text: str) -> None:
    """People read "1h30m" more easily than "5400s"."""
    assert units.format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("1K", 1024),
        ("1KB", 1024),
        ("1KiB", 1024),
        ("50M", 50 * 1024**2),
        ("50mb", 50 * 1024**2),
        ("2MiB", 2 * 1024**2),
        ("1G", 1024**3),
        ("1GB", 1024**3),
    ],
)
def test_sizes(text: str, size: int) -> None:
    """All spellings of a unit mean steps of 1024, as Supervisor's do."""
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "1.5M", "-1", "1 M", "1T", "50MM", "many"])
def test_what_is_no_size(text: str) -> None:
    """Fractions, signs, blanks and unknown units are refused."""
    with pytest.raises(Refused, match="is not a size"):
        units.parse_size(text)


def test_sizes_end_where_files_do() -> None:
    """The kernel's offsets have 63 bits."""
    with pytest.raises(Refused, match="larger than any file"):
        units.parse_size("9999999999G")


@given(st.integers(min_value=0, max_value=units.SIZE_MAX))
def test_sizes_go_round(size: int) -> None:
    """What is shown can be typed again and means exactly the same."""
    assert units.parse_size(units.format_size(size)) == size


@pytest.mark.parametrize(
    ("text", "number"),
    [("TERM", 15), ("SIGTERM", 15), ("term", 15), ("9", 9), ("SIGRTMIN", 34), ("40", 40)],
)
def test_signals(text: str, number: int) -> None:
    """Names go with or without SIG and in any case, numbers as they are."""
    assert units.parse_signal(text) == number


@pytest.mark.parametrize("text", ["TERMM", "SIG", "", "0", "65", "-9", "32"])
def test_what_is_no_signal(text: str) -> None:
    """Neither names nor numbers beyond what the system has."""
    with pytest.raises(Refused, match="is not a signal"):
        units.parse_signal(text)


def test_a_misspelt_signal_is_recognized() -> None:
    """The nearest name is suggested, and the rule follows."""
    with pytest.raises(Refused) as caught:
        units.parse_signal("TERMM")
    assert caught.value.hint == "did you mean 'TERM'? The name goes with or without SIG"


@given(st.sampled_from(sorted(signal.valid_signals())))
def test_signals_go_round(number: int) -> None:
    """Every signal of the system, the nameless real-time ones included."""
    assert units.parse_signal(units.format_signal(number)) == number


@pytest.mark.parametrize(
    ("text", "mode"), [("027", 0o27), ("27", 0o27), ("0660", 0o660), ("0", 0)]
)
def test_modes(text: str, mode: int) -> None:
    """Digits are octal, whether or not a zero says so."""
    assert units.parse_mode(text) == mode


@pytest.mark.parametrize("text", ["", "8", "00270", "0o27", "rwx", "-1"])
def test_what_is_no_mode(text: str) -> None:
    """More than four digits can't be permission bits."""
    with pytest.raises(Refused, match="is not an octal mode"):
        units.parse_mode(text)


@given(st.integers(min_value=0, max_value=0o7777))
def test_modes_go_round(mode: int) -> None:
    """What is shown can be typed again and means exactly the same."""
    assert units.parse_mode(units.format_mode(mode)) == mode


@pytest.mark.parametrize("item", [True, 256, -1, 1.5, "15", "TERMM", [0], {"code": 0}])
def test_what_is_no_exit(item: object) -> None:
    """A quoted number could be either a code or a signal, so it is neither."""
    with pytest.raises(Refused):
        units.parse_exit(item)


@given(
    st.frozensets(st.integers(min_value=0, max_value=255)),
    st.frozensets(st.sampled_from(list(signal.Signals))),
)
def test_exits_go_round(codes: frozenset[int], signals: frozenset[int]) -> None:
    """Codes and signals come back as they were."""
    exits = ExitSet(codes=codes, signals=signals)
    items = units.format_exits(exits)
    assert units.join_exits(map(units.parse_exit, items)) == exits


@pytest.mark.parametrize(
    ("word", "rule", "hint"),
    [
        ("replcas", "", "did you mean 'replicas'?"),
        ("replcas", "there are more", "did you mean 'replicas'? There are more"),
        ("zzz", "", ""),
        ("zzz", "there are more", "there are more"),
    ],
)
def test_did_you_mean(word: str, rule: str, hint: str) -> None:
    """A suggestion only where one is near; the rule in any case."""
    assert units.did_you_mean(word, ["replicas", "nice"], rule) == hint


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("probes", "did you mean 'startup_probe', 'readiness_probe' or 'liveness_probe'?"),
        ("failure", "did you mean 'failure_threshold'?"),
        ("success", "did you mean 'success_threshold'?"),
        ("log", ""),  # a part of too many
        ("s", ""),
        ("", ""),
    ],
)
def test_did_you_mean_one_of_these(word: str, hint: str) -> None:
    """What is a part of a few names is a question for one of them."""
    known = ["_ssh", "startup_probe", "readiness_probe", "liveness_probe"]
    known += ["success_threshold", "failure_threshold"]
    many = [f"where_the_log_{verb}" for verb in ("begins", "ends", "is", "was", "goes")]
    assert units.did_you_mean(word, [*known, *many]) == hint
