"""`opsvisor_process_labels`: the labels of programs that the settings allow."""

from scene import OPENMETRICS, STOPPED, TEXT, scene_of

from opsvisor.config.settings import Collector, MetricsSettings
from opsvisor.core.struct import replace
from opsvisor.core.view import ProcessView

LABELS = "opsvisor_process_labels"
STATE = frozenset({Collector.STATE})


def labelled(**labels: str) -> ProcessView:
    """A process whose program has these labels."""
    return replace(STOPPED, spec=replace(STOPPED.spec, labels=tuple(labels.items())))


async def told(view: ProcessView, *allowed: str) -> dict[str, str]:
    """The labels that are told of it."""
    with scene_of([view], MetricsSettings(process_labels=allowed)) as scene:
        (sample,) = (await scene.families(TEXT, STATE))[LABELS].samples
    assert sample.value == 1
    assert (sample.labels.pop("group"), sample.labels.pop("process")) == ("web", "web")
    return sample.labels


async def test_only_allowed_labels_are_told() -> None:
    """Under a name that Prometheus takes; what a program does not have is empty."""
    view = labelled(**{"team": "blue", "cost-centre": "7", "secret": "hidden"})
    assert await told(view, "team", "cost-centre", "tier") == {
        "label_team": "blue",
        "label_cost_centre": "7",
        "label_tier": "",
    }


async def test_long_values_are_cut() -> None:
    """Each is stored with every series that it is joined to."""
    assert await told(labelled(team="x" * 200), "team") == {"label_team": "x" * 200}
    cut = "x" * 199 + "…"
    assert await told(labelled(team="x" * 201), "team") == {"label_team": cut}


async def test_nothing_is_told_where_nothing_is_allowed() -> None:
    """Not even the head of the family."""
    with scene_of([labelled(team="blue")]) as scene:
        for accept in (TEXT, OPENMETRICS):
            assert LABELS not in await scene.scrape(accept)


async def test_a_changed_label_is_told_at_the_next_scrape() -> None:
    """Lines are kept for as long as they are true."""
    with scene_of([labelled(team="blue")], MetricsSettings(process_labels=("team",))) as scene:
        assert 'label_team="blue"' in await scene.scrape(TEXT, STATE)
        scene.views[0] = labelled(team="red")
        text = await scene.scrape(TEXT, STATE)
        assert 'label_team="red"' in text
        assert 'label_team="blue"' not in text
