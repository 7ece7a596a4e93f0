"""Lines of `[ssh] hosts`, and what they grant."""

import pytest

from airlock_modules import Fault, Login, RemoteError, TableReader, read_host_line, read_ssh_grant
from airlock_modules.remotes.hosts import find_host


@pytest.mark.parametrize(
    ("line", "login", "grants"),
    [
        ("host", Login(user="any", host="host", port=None), True),
        ("host:22", Login(user=None, host="host", port=None), True),
        ("host", Login(user=None, host="host", port=2222), False),
        ("host:2222", Login(user=None, host="host", port=2222), True),
        ("host:2222", Login(user=None, host="host", port=None), False),
        ("me@host", Login(user="me", host="host", port=None), True),
        ("me@host", Login(user=None, host="host", port=None), False),
        ("me@host", Login(user="root", host="host", port=None), False),
        ("HOST", Login(user=None, host="host", port=None), True),
        ("*.example.com", Login(user=None, host="a.b.example.com", port=None), True),
        ("*.example.com", Login(user=None, host="example.com", port=None), False),
        ("*.example.com", Login(user=None, host="aexample.com", port=None), False),
        ("[0:0::1]:2222", Login(user=None, host="[::1]", port=2222), True),
        ("a.c", Login(user=None, host="abc", port=None), False),
    ],
)
def test_what_a_line_grants(line: str, login: Login, *, grants: bool) -> None:
    """A line without a user is for any, one without a port for ssh's own."""
    assert (find_host((read_host_line(line),), login) is not None) is grants


def test_a_line_that_names_the_host_counts_before_a_pattern() -> None:
    """It is as the operator writes it, since aliases have an upper and a lower case."""
    lines = tuple(map(read_host_line, ("*", "Build")))
    found = find_host(lines, Login(user=None, host="build", port=None))
    assert found is not None
    assert found.name == "Build"
    assert lines[0].name is None


@pytest.mark.parametrize(
    "line", ["", "a b", "host/x", "-x", "%h@host", "a@b@c", "host:x", "ssh://h"]
)
def test_what_is_no_line_is_a_fault(line: str) -> None:
    """It is named with the way to write it."""
    with pytest.raises(RemoteError):
        read_host_line(line)
    faults: list[Fault] = []
    table = TableReader.parse(f"hosts = ['{line}', 'host']", source="x", faults=faults)
    assert table is not None
    grant = read_ssh_grant(table)
    assert [each.text for each in grant.hosts] == ["host"]
    assert "write it like" in str(faults[0])


def test_a_profile_without_hosts_is_unpinned_and_one_with_none_goes_nowhere() -> None:
    """An empty list is a word on it."""
    for text, is_pinned in (("", False), ("hosts = []", True)):
        table = TableReader.parse(text, source="x", faults=[])
        assert table is not None
        assert read_ssh_grant(table).is_pinned is is_pinned
