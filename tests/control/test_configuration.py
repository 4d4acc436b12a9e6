"""Changed files: read, compared, applied."""

import pytest
from control_room import ControlRoom, MakeControl, loaded
from engine_room import key, plan_of, program, sleeper

from opsvisor.config.problems import ConfigError, Place, Problem
from opsvisor.config.settings import DaemonSettings, Dialect, LogLevel
from opsvisor.control.actions import Action
from opsvisor.control.configuration import UnknownGroupError
from opsvisor.core.events import ProcessRemoved
from opsvisor.core.inputs import Stop
from opsvisor.core.plan import PlanDiff
from opsvisor.core.spec import LinearBackoff, RestartPolicy, Startup
from opsvisor.core.state import PublicState

OFF = Startup.DISABLED
BAD = ConfigError([Problem(Place("opsvisor.toml", 3), "oops")])
SLOW_RETRY = RestartPolicy(start_backoff=LinearBackoff(step=1000), limit=None)


async def test_files_that_cannot_be_used_change_nothing(with_programs: MakeControl) -> None:
    """What was read before stays available, and the attempt is told with its problems."""
    house = await with_programs(sleeper())
    configuration = house.control.configuration
    before = configuration.available
    house.files = BAD
    with pytest.raises(ConfigError, match="oops"):
        await configuration.reread()
    assert configuration.available is before
    (report,) = house.reports
    assert (report.ok, report.problems) == (False, BAD.problems)
    assert configuration.last_load is report
    house.files = loaded(sleeper())
    await configuration.reread()
    assert configuration.last_load.ok
    assert house.reports[1:] == [configuration.last_load]


async def test_rereading_compares_and_touches_nothing(with_programs: MakeControl) -> None:
    """What applying would do, by process and by group, and what only a reload would."""
    house = await with_programs(sleeper("same"), sleeper("other"), sleeper("old"))
    settings = DaemonSettings(identifier="me", log_level=LogLevel.DEBUG)
    house.files = loaded(
        sleeper("same"), sleeper("other", umask=1), sleeper("new"), settings=settings
    )
    found = await house.control.configuration.reread()
    assert found.diff.added == (key("new"),)
    assert found.diff.removed == (key("old"),)
    ((change),) = found.diff.changed
    assert (change.id, change.fields, change.restart) == (key("other"), ("umask",), True)
    assert found.daemon_changed == ("identifier", "log_level")
    assert house.control.configuration.compare() == found
    assert house.control.configuration.settings == DaemonSettings()
    assert house.room.supervisor.plan == plan_of(sleeper("same"), sleeper("other"), sleeper("old"))


async def changed(with_programs: MakeControl) -> ControlRoom:
    """A house whose files were reread: `web` changed, `old` left, `new` came."""
    house = await with_programs(sleeper("web"), sleeper("old"))
    house.files = loaded(sleeper("web", umask=1), sleeper("new"))
    await house.control.configuration.reread()
    return house


async def test_all_groups_or_only_some_can_be_chosen(with_programs: MakeControl) -> None:
    """`update web` leaves the others as they run, whatever the files say of them."""
    house = await changed(with_programs)
    choose = house.control.configuration.choose
    plan, comparison = choose()
    assert plan == plan_of(sleeper("web", umask=1), sleeper("new"))
    assert comparison.diff.groups_removed == ("old",)
    plan, comparison = choose(["web"])
    assert plan == plan_of(sleeper("web", umask=1), sleeper("old"))
    assert comparison.diff.groups_changed == ("web",)
    plan, comparison = choose(["old", "new"])
    assert plan == plan_of(sleeper("web"), sleeper("new"))
    assert (comparison.diff.groups_removed, comparison.diff.groups_added) == (("old",), ("new",))
    with pytest.raises(UnknownGroupError, match="no such group: none"):
        choose(["web", "none"])


async def test_an_applied_plan_is_the_one_in_force(with_programs: MakeControl) -> None:
    """Afterwards there is nothing left to change."""
    house = await changed(with_programs)
    plan, _ = house.control.configuration.choose()
    house.control.configuration.carry_out(plan)
    await house.room.next(ProcessRemoved, id=key("old"))
    await house.room.state(PublicState.RUNNING, "new")
    assert house.control.configuration.compare().diff == PlanDiff()


async def test_a_group_is_added_once(with_programs: MakeControl) -> None:
    """It starts, the others are left alone, and adding it again is no error but no news."""
    house = await changed(with_programs)
    pid = house.room.pid("web")
    assert house.control.configuration.add_group("new")
    await house.room.state(PublicState.RUNNING, "new")
    assert house.room.pid("web") == pid
    assert house.room.view("web").spec.umask is None
    assert not house.control.configuration.add_group("new")
    with pytest.raises(UnknownGroupError):
        house.control.configuration.add_group("none")


async def test_a_group_is_removed_when_nothing_of_it_runs(with_programs: MakeControl) -> None:
    """A process, or an attempt that is due, keeps it."""
    house = await with_programs(sleeper("web"), program("due", "nothere", restart=SLOW_RETRY))
    remove = house.control.configuration.remove_group
    await house.room.state(PublicState.BACKOFF, "due")
    assert (remove("web"), remove("due")) == (False, False)
    await house.act(Action.STOP, "web", "due")
    assert (remove("web"), remove("due")) == (True, True)
    assert house.room.forgotten == [key("web"), key("due")]
    with pytest.raises(UnknownGroupError):
        remove("web")


async def test_a_group_is_not_removed_while_its_process_is_about_to_be_made(
    with_programs: MakeControl,
) -> None:
    """Of a crowd that is started each is STARTING at once, and made when its turn comes."""
    specs = [sleeper(f"p{n:02}", startup=Startup.DISABLED) for n in range(60)]
    house = await with_programs(*specs)
    house.room.start_together(*(spec.id for spec in specs))
    assert house.room.view("p59").pid is None
    assert not house.control.configuration.remove_group("p59")


@pytest.mark.parametrize(
    ("dialect", "state"),
    [(Dialect.NATIVE, PublicState.STOPPED), (Dialect.SUPERVISOR, PublicState.RUNNING)],
)
async def test_whether_an_update_starts_what_was_stopped_by_hand(
    with_programs: MakeControl, dialect: Dialect, state: PublicState
) -> None:
    """Supervisor's users count on it; natively an operator's stop outlives a change."""
    settings = DaemonSettings(dialect=dialect)
    house = await with_programs(sleeper("web"), sleeper("other"), settings=settings)
    for name in ("web", "other"):
        house.room.engine.submit(Stop(key(name)))
        await house.room.state(PublicState.STOPPED, name)
    house.files = loaded(sleeper("web", umask=1), sleeper("other"), settings=settings)
    await house.control.configuration.reread()
    house.control.configuration.carry_out(house.control.configuration.choose()[0])
    assert house.room.view("web").state is state
    assert house.room.view("other").state is PublicState.STOPPED
