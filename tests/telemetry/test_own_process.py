"""The daemon's own process is told of as the client library would."""

from unittest.mock import patch

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import Metric

from opsvisor.telemetry import own_process
from opsvisor.telemetry.own_process import OwnProcess


def _both() -> tuple[dict[str, Metric], dict[str, Metric]]:
    ours = OwnProcess(CollectorRegistry()).collect()
    theirs = ProcessCollector(registry=None).collect()
    return {one.name: one for one in ours}, {one.name: one for one in theirs}


def test_families_are_those_of_the_library() -> None:
    """Names, texts, types; and values, of those that two looks find alike."""
    ours, theirs = _both()
    assert ours.keys() == theirs.keys()
    for name, family in theirs.items():
        assert (ours[name].documentation, ours[name].type) == (family.documentation, family.type)
        assert [one.name for one in ours[name].samples] == [one.name for one in family.samples]
    for name in ("process_start_time_seconds", "process_max_fds"):
        assert ours[name].samples[0].value == theirs[name].samples[0].value


def test_descriptors_are_not_listed_where_the_kernel_has_counted_them() -> None:
    """Linux 6.2 and later; the library has one more open while it lists them."""
    with patch.object(own_process, "count_fds", return_value=7) as counted:
        ours, _ = _both()
    assert counted.call_count == 1
    assert ours["process_open_fds"].samples[0].value == 7
