"""Where in a box the daemon listens, and for what."""

import pytest

from airlock_daemon.boundary.box.listeners import BoxListeners, plan_listeners
from airlock_daemon.errors import Denied


def plan(*entries: str) -> BoxListeners:
    """The listeners for a network of these."""
    listeners = plan_listeners(entries, "module.toml")
    assert listeners is not None
    return listeners


def test_a_name_has_one_address_and_a_door_for_each_port() -> None:
    """Names in their order, whatever that of the module; an address and a pattern have none."""
    listeners = plan(
        "b.example:443", "a.example:22", "b.example:80", "*.c.example:443", "10.0.0.1:443"
    )
    assert listeners.hosts == (("127.0.3.1", "a.example"), ("127.0.3.2", "b.example"))
    assert list(map(str, listeners.tcp_addresses)) == [
        *("127.0.0.1:3128", "127.0.3.1:22", "127.0.3.2:443", "127.0.3.2:80"),
    ]
    assert plan("b.example:80", "a.example:22", "b.example:443").hosts == listeners.hosts


def test_a_listener_stands_for_one_destination() -> None:
    """The proxy for none, and none for another port of a name."""
    listeners = plan("a.example:443", "localhost:80", "127.0.3.1:443")
    found = {str(here): listeners.find_forwarded(here) for here in listeners.tcp_addresses}
    assert {here: None if each is None else str(each) for here, each in found.items()} == {
        "127.0.0.1:3128": None,
        "127.0.0.1:80": "localhost:80",
        "[::1]:80": "localhost:80",
        # That of the host's own loopback keeps its place.
        "127.0.3.1:443": "127.0.3.1:443",
        "127.0.3.2:443": "a.example:443",
    }


def test_names_have_doors_as_far_as_there_can_be_some() -> None:
    """The others are left to the proxy; what is on this host has no other way, and is refused."""
    many = plan(*(f"n{number:03}.example:443" for number in range(100)), "127.0.0.1:1")
    assert len(many.tcp_addresses) == 64
    assert ("127.0.3.1", "n000.example") in many.hosts
    assert len(many.hosts) == 62
    with pytest.raises(Denied, match="a box that listens at 101 addresses"):
        plan(*(f"127.0.0.1:{port}" for port in range(1, 101)))
