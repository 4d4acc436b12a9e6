"""What is counted beside the client library comes to the same."""

import pytest
from prometheus_client import Counter, Histogram

from opsvisor.telemetry.counting_on import series_of
from opsvisor.telemetry.often import Observations, Occurrences

_BOUNDS = (0.1, 0.5, 1.0)


def _histogram() -> Histogram:
    return Histogram("h", "h", buckets=_BOUNDS, registry=None)


def test_observations_end_up_where_the_library_would_have_put_them() -> None:
    """Also what is as large as a bound, or larger than the last; however often it is poured."""
    theirs, ours = _histogram(), _histogram()
    observations = Observations(ours)
    for values in ([0.05, 0.1, 0.3], [0.5, 1.0, 1.5, 7.0], []):
        for value in values:
            theirs.observe(value)
            observations.observe(value)
        observations.pour()
        assert list(series_of("h", ours)) == list(series_of("h", theirs))


def test_occurrences_are_added_once_to_the_counter_of_their_kind() -> None:
    """And nobody counts a kind that has none."""
    counter = Counter("c", "c", ["kind"], registry=None)
    occurrences: Occurrences[type] = Occurrences(
        {kind: counter.labels(kind.__name__) for kind in (int, str)}
    )
    occurrences.count(int)
    occurrences.count(int)
    occurrences.pour()
    occurrences.count(str)
    occurrences.count(int)
    occurrences.pour()
    (family,) = counter.collect()
    totals = [sample for sample in family.samples if sample.name == "c_total"]
    told = {sample.labels["kind"]: sample.value for sample in totals}
    assert told == {"int": 3, "str": 1}
    with pytest.raises(KeyError):
        occurrences.count(bytes)
