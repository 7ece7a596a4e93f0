"""Tests of `airlock_daemon.admin.log.statistics` and what it counts with."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airlock_daemon.admin.log import statistics
from airlock_daemon.admin.log.items import open_log
from airlock_daemon.admin.log.statistics import (
    NAMES,
    OTHERS,
    CommandRow,
    Durations,
    Statistics,
    is_since,
    read_moment,
)
from logs import write, writing


def count(path: Path, **more: Any) -> Statistics:
    with open_log(str(path)) as files:
        return statistics.count(files, **more)


def run(command: str = "git", outcome: str = "allowed", **more: Any) -> dict[str, Any]:
    return {"command": command, "outcome": outcome, **more}


def rows(counted: Statistics) -> dict[tuple[str | None, str | None], CommandRow]:
    return {(row.agent, row.command): row for row in counted.commands}


def test_requests_are_counted_by_agent_and_command(tmp_path: Path) -> None:
    """Each by its outcome, with a record that stands for many as many, and all of them as a sum."""
    path = tmp_path / "log"
    write(
        path,
        {"event": "daemon-start", "profile": None},
        run(),
        run(outcome="denied", layer="module", rule="push & --force"),
        run(outcome="denied", layer="module", rule="push & --force", profile="other"),
        run(outcome="failed"),
        run(outcome="aborted"),
        run("kubectl", outcome="denied"),
        run(event="check"),
        {"event": "invalid", "outcome": "invalid"},
        {"event": "invalid", "outcome": "denied", "layer": "limit", "rule": "queued", "count": 90},
    )
    counted = count(path)
    assert (counted.requests, counted.agents) == (98, 2)
    assert counted.outcomes == {
        "allowed": 2,
        "denied": 93,
        "failed": 1,
        "aborted": 1,
        "invalid": 1,
    }
    found = rows(counted)
    git = found["my", "git"]
    assert (git.requests, git.allowed, git.denied, git.failed, git.aborted) == (5, 2, 1, 1, 1)
    assert found["other", "git"].denied == 1
    assert found["my", None].requests == 91
    assert [(row.layer, row.rule, row.requests) for row in counted.denials] == [
        ("limit", "queued", 90),
        ("module", "push & --force", 2),
        (None, None, 1),
    ]
    assert rows(count(path, agent="other")).keys() == {("other", "git")}


def test_what_a_broker_refused_of_a_request_that_ran_is_a_denial(tmp_path: Path) -> None:
    """Once, whether or not the request as a whole was refused; what it did is no request."""
    path = tmp_path / "log"
    refused = {"layer": "broker", "rule": "protect", "outcome": "denied"}
    write(
        path,
        run("git-remote", event="broker", request="a", **refused),
        run("git-remote", request="a"),
        run("git-remote", event="broker", request="b", **refused),
        run("git-remote", request="b", **refused),
        run("git-remote", event="broker", request="c"),
        run("git-remote", request="c"),
    )
    counted = count(path)
    assert counted.outcomes == {"allowed": 2, "denied": 1}
    assert [(row.layer, row.rule, row.requests) for row in counted.denials] == [
        ("broker", "protect", 2)
    ]


def test_operations_of_apis_are_requests_of_their_api(tmp_path: Path) -> None:
    """No request of the agent's socket stands beside them in the log."""
    path = tmp_path / "log"
    refused = {"layer": "broker", "rule": "allow", "outcome": "denied"}
    write(
        path,
        run("gh", event="broker", duration_ms=20),
        run("gh", event="broker", **refused),
        {"event": "broker", "outcome": "allowed", "count": 40},
    )
    counted = count(path)
    assert counted.outcomes == {"allowed": 41, "denied": 1}
    gh = rows(counted)["my", "gh"]
    assert (gh.requests, gh.allowed, gh.denied) == (2, 1, 1)
    assert gh.p50_ms == pytest.approx(20, rel=0.011)
    assert [(row.layer, row.rule, row.requests) for row in counted.denials] == [
        ("broker", "allow", 1)
    ]


def test_what_a_killed_daemon_left_is_told_apart_from_what_runs(tmp_path: Path) -> None:
    """Neither has ended, so that neither is among the requests."""
    path = tmp_path / "log"
    begin = {"event": "exec-start", "command": "git"}
    write(path, {**begin, "request": "a"}, {**begin, "request": "b"}, run(request="a"))
    assert (count(path).running, count(path).cut_off) == (1, 0)
    write(path, {"event": "daemon-start"}, {**begin, "request": "c"})
    assert (count(path).running, count(path).cut_off, count(path).requests) == (1, 1, 1)


def test_percentiles_are_near_the_truth_and_bounded() -> None:
    """Within 1 %, whatever the distribution; memory does not grow with the count."""
    random.seed(1)
    durations = Durations()
    values = sorted(random.lognormvariate(3, 2) for _ in range(20_000))
    for value in values:
        durations.add(value)
    for share in (0.5, 0.95):
        assert durations.percentile(share) == pytest.approx(values[int(share * 20_000)], rel=0.011)
    for value in (0, -1, 1e300, 0.001, 1e11):
        durations.add(value)
    for number in range(100_000):
        durations.add(1.0003**number if number < 1e5 else 1)
    assert len(durations._counted) < 3500
    assert Durations().percentile(0.5) is None


def test_only_commands_that_ran_have_a_duration(tmp_path: Path) -> None:
    """Refusals are quick, and would make every command look so."""
    path = tmp_path / "log"
    write(path, run(duration_ms=100.0), *[run(outcome="denied", duration_ms=0.1)] * 9)
    row = rows(count(path))["my", "git"]
    assert row.p50_ms == pytest.approx(100, rel=0.01)
    assert row.p95_ms == pytest.approx(100, rel=0.01)


def test_names_that_a_client_invents_are_bounded_and_displace_nothing(tmp_path: Path) -> None:
    """A flood of unknown names before and after hides no command that is one."""
    path = tmp_path / "log"
    flood = [run(f"n{number}", outcome="denied") for number in range(3 * NAMES)]
    write(path, *flood, run(), run("ssh", outcome="denied", layer="profile"), *flood)
    counted = count(path)
    found = rows(counted)
    assert counted.requests == 6 * NAMES + 2
    assert found["my", OTHERS].requests == 4 * NAMES
    assert found["my", "git"].allowed == 1
    assert found["my", "ssh"].denied == 1
    assert len(found) == NAMES + 3


def test_a_client_cannot_name_a_command_like_a_row_of_ours(tmp_path: Path) -> None:
    """Names are quoted where they are more than a word."""
    path = tmp_path / "log"
    write(path, run(OTHERS, outcome="denied"), run("git ", outcome="denied"))
    assert rows(count(path)).keys() == {("my", f'"{OTHERS}"'), ("my", '"git "')}


def test_lines_that_are_no_records_are_counted_as_such(tmp_path: Path) -> None:
    """But the last one where it is being written."""
    path = tmp_path / "log"
    write(path, run())
    with path.open("ab") as file:
        file.write(b'nothing\n{"ts":1}\n{"ts":"x","event":"exec","count":1e999}\n{"ts"')
    assert (count(path).no_records, count(path).requests) == (3, 1)


NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", "2026-01-31T11:58:30.000Z"),
        ("24h", "2026-01-30T12:00:00.000Z"),
        ("2w", "2026-01-17T12:00:00.000Z"),
        ("2026-01-01T00:00Z", "2026-01-01T00:00:00.000Z"),
        ("2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00.000Z"),
    ],
)
def test_moments_are_durations_or_times(text: str, moment: str) -> None:
    """In UTC, as records have it."""
    assert read_moment(text, now=NOW) == moment


def test_a_time_without_a_zone_is_that_of_the_host() -> None:
    """As people mean it."""
    local = datetime(2026, 1, 31, 12, 0).astimezone(UTC)
    assert read_moment("2026-01-31T12:00", now=NOW)[:19] == local.isoformat()[:19]


@pytest.mark.parametrize("text", ["", "h", "5", "5y", "-5m", "yesterday", "999999999w", "5m "])
def test_what_is_no_moment_is_refused(text: str) -> None:
    """With what would be one."""
    with pytest.raises(ValueError, match="24h"):
        read_moment(text, now=NOW)


def test_since_goes_by_the_time_of_each_record(tmp_path: Path) -> None:
    """Also of earlier releases, which wrote it in another form."""
    path = tmp_path / "log"
    with writing(path):
        pass
    now = datetime.now(UTC)
    write(path, run())
    for since, requests in ((timedelta(minutes=-1), 1), (timedelta(hours=1), 0)):
        moment = read_moment((now + since).isoformat(), now=now)
        assert count(path, since=moment).requests == requests
    moment = "2026-01-01T00:00:00.000Z"
    assert is_since("2026-01-01T01:00:00+00:00", moment)
    assert not is_since("2026-01-01T00:30:00+01:00", moment)
    assert is_since("no time", moment)
