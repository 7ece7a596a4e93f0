"""The list itself: what it has to hold, and that each of its entries can be told from the rest."""

from collections import Counter

from e2e.faithful.runner.entry import Entry
from e2e.faithful.runner.ways import CONTAINER_WAYS, HOST_WAYS

TOOLS = {"git", "tar", "ssh", "terraform"}
"""Beside the coreutils, what the list must have commands of."""


def test_it_is_long_enough(entries: list[Entry]) -> None:
    """There are at least 100 commands, and some of each tool."""
    assert len(entries) >= 100
    assert {tool for entry in entries for tool in entry.tools} >= TOOLS


def test_every_id_is_there_once(entries: list[Entry]) -> None:
    """No two entries share an id."""
    counted = Counter(entry.id for entry in entries)
    assert [entry_id for entry_id, times in counted.items() if times > 1] == []


def test_every_entry_is_run_in_some_way(entries: list[Entry]) -> None:
    """Each is compared in one way at least, and each way compares some."""
    through = [way for way in (*HOST_WAYS, *CONTAINER_WAYS) if way.carriage != "direct"]
    assert [entry.id for entry in entries if not any(way.takes(entry) for way in through)] == []
    assert [way for way in through if not any(way.takes(entry) for entry in entries)] == []


def test_every_exception_has_a_reason(entries: list[Entry]) -> None:
    """What is left out is one of the carriages or the boxes, and says why."""
    known = {"descriptors", "streamed", "container-descriptors", "container-streamed", "boxed"}
    for entry in entries:
        assert entry.apart.keys() <= known, entry.id
        assert all(entry.apart.values()), entry.id


def test_a_shell_line_names_its_tools(entries: list[Entry]) -> None:
    """An entry is either an argument vector or a shell line with at least one proxied tool."""
    for entry in entries:
        assert bool(entry.run) != bool(entry.shell), entry.id
        assert entry.tools, entry.id
