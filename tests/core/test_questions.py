"""What others ask the supervisor besides views."""

import pytest
from programs import process_id, program
from world import World

from opsvisor.core.spec import TcpSocketSpec, UnixSocketSpec
from opsvisor.core.state import PublicState


def test_states_alone() -> None:
    """For whoever wants to know nothing else of 1,000 processes."""
    world = World(program("web"), program("db"))
    world.play("start web")
    assert world.supervisor.public_states() == {
        process_id("web"): PublicState.STARTING,
        process_id("db"): PublicState.STOPPED,
    }


def test_who_is_alive() -> None:
    """From the pid that is told to the end that is: not what is only on its way."""
    world = World(program("web"), program("db"))
    world.play("start web; start db; spawned 100 of db")
    assert world.supervisor.alive() == [process_id("db")]
    world.play("spawned 101 of web; stop db")
    assert world.supervisor.alive() == [process_id("db"), process_id("web")]
    world.play("killed 100 TERM")
    assert world.supervisor.alive() == [process_id("web")]


def test_a_spec_is_the_same_object_until_there_is_another() -> None:
    """So whoever keeps it sees at a glance whether it has to be written anew."""
    old, new = program("web"), program("web", description="shop")
    world = World(old).knows("next", new)
    assert world.supervisor.spec_of(process_id("web")) is old
    world.play("start web; spawned 100; +2; apply next")
    assert world.supervisor.spec_of(process_id("web")) == new
    with pytest.raises(KeyError):
        world.supervisor.spec_of(process_id("nobody"))


def test_addresses_are_shown_as_people_write_them() -> None:
    """With brackets around a colon, and a star for all interfaces."""
    assert UnixSocketSpec(path="/run/web").url == "unix:///run/web"
    assert TcpSocketSpec(host="", port=80).url == "tcp://*:80"
    assert TcpSocketSpec(host="::1", port=80).url == "tcp://[::1]:80"
