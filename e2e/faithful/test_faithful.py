"""Each command of the list through Airlock: byte for byte what the direct run does."""

from collections import Counter

import pytest

from e2e.faithful.runner.entry import Entry
from e2e.faithful.runner.result import Result, differences
from e2e.faithful.runner.ways import Way
from e2e.faithful.runs import Outcome, Runs
from e2e.faithful.world.containers import WORKSPACE
from e2e.world.need import need


def test_on_this_host(entry: Entry, host_way: Way, runs: Runs, compared: Counter[str]) -> None:
    """A command called on this host is the same; run directly twice, it is what the list says."""
    _compare(entry, host_way, runs, compared)


def test_from_a_container(
    entry: Entry, container_way: Way, container_runs: Runs, compared: Counter[str]
) -> None:
    """A command called in a container is the same as the direct run on the host."""
    _compare(entry, container_way, container_runs, compared)


def _compare(entry: Entry, way: Way, runs: Runs, compared: Counter[str]) -> None:
    for tool in entry.tools:
        need(runs.world.missing.get(tool))
    direct = _came_to(runs.direct[entry.id])
    if way.carriage == "direct":
        assert direct.status == entry.status, direct.said()[-2000:]
        assert entry.shows.encode() in direct.said()
    if entry.tells_place and way.place != "host":
        direct = direct.moved(bytes(runs.world.ground.workspaces), WORKSPACE.encode())
    outcome = runs.done[entry.id, way]
    if isinstance(outcome, Result) and entry.adds and way.carriage != "direct":
        rest = outcome.without(entry.adds)
        assert rest is not None, f"no line with {entry.adds!r} in {outcome.said()[-2000:]!r}"
        outcome = rest
    found = (
        differences(direct, outcome, entry.normalise)
        if isinstance(outcome, Result)
        else [f"{type(outcome).__name__}: {outcome}"]
    )
    compared[f"command {entry.id}"] += 1
    compared["different" if found else "same"] += 1
    if found:
        pytest.fail(f"{entry.id}, {way}:\n" + "\n".join(found), pytrace=False)


def _came_to(outcome: Outcome) -> Result:
    if isinstance(outcome, Result):
        return outcome
    raise outcome
