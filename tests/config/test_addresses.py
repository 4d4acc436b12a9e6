"""Which addresses can't be had at the same time."""

import pytest

from opsvisor.config.addresses import Address, address_in, address_of, rivals
from opsvisor.config.settings import TcpServer, UnixServer


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "localhost", True),
        ("LOCALHOST", "localhost", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("", "127.0.0.1", True),
        ("*", "0.0.0.0", True),
        ("0.0.0.0", "host.example", True),
        ("0.0.0.0", "[::1]", False),
        ("[::]", "[::1]", True),
        ("[::]", "", False),
        ("[::]", "127.0.0.1", False),
        ("[::1]", "::1", True),
        ("[::1]", "127.0.0.1", False),
        ("host.example", "127.0.0.1", False),
    ],
)
def test_hosts_of_one_port(one: str, other: str, *, overlap: bool) -> None:
    """As far as it is certain: nobody looks up names, nor whether `::` has IPv4 as well."""
    assert Address(one, 9001).overlaps(Address(other, 9001)) is overlap
    assert Address(other, 9001).overlaps(Address(one, 9001)) is overlap
    assert not Address(one, 9001).overlaps(Address(other, 9002))


def test_paths() -> None:
    """They overlap where they are the same, whatever they are called."""
    assert Address("/a").overlaps(Address("/a"))
    assert not Address("localhost").overlaps(Address("127.0.0.1"))
    assert not Address("/a").overlaps(Address("", 9001))
    assert not Address("localhost", 0).overlaps(Address("localhost", 0))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("unix:///run/s", Address("/run/s")),
        ("http://localhost:9001", Address("localhost", 9001)),
        ("https://[::1]:9001", Address("[::1]", 9001)),
    ],
)
def test_in_urls(url: str, address: Address) -> None:
    """The other way round than `url_of`."""
    assert address_in(url) == address


def test_rivals() -> None:
    """Every pair of them, in the order of the servers."""
    unix = UnixServer(name="unix", path="/s")
    one, other, third = (
        TcpServer(name=name, host=host, port=port)
        for name, host, port in (("a", "", 1), ("b", "localhost", 1), ("c", "localhost", 2))
    )
    assert list(rivals([unix, one, other, third])) == [(one, other)]
    assert address_of(unix) == Address("/s")
