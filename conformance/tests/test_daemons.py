"""Daemons that do not start, that end, or that hang: none of them takes the run with it."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from control_programs import CASES, CONTROLS, write_control
from suite_process import SUITE, run_suite

from airlock_conformance.cases import load_setup
from airlock_conformance.causes import cause_of
from airlock_conformance.checks import Checks
from airlock_conformance.daemon_role import run_daemon_case
from airlock_conformance.daemons import Daemons
from airlock_conformance.patience import ENOUGH, Patience
from airlock_conformance.violation import TimedOut, Violation

sys.path.insert(0, str(CONTROLS))

from dying import DyingDaemon, SilentDaemon

pytestmark = pytest.mark.timeout(600)  # they run the suite, as somebody else would

LEAST = CASES["daemon/requests-least"].body
DEADLY = CASES["daemon/requests-check-does-not-run"].body


@pytest.fixture
def checks() -> Checks:
    """The checks of a run."""
    return Checks()


@pytest.fixture
def dying(tmp_path: Path, checks: Checks) -> Iterator[Daemons]:
    """Daemons of which each ends when it is asked by `check`."""
    daemon = write_control(tmp_path / "daemon", DyingDaemon, entry="reference_daemon")
    with closing(Daemons(daemon, load_setup, patience=Patience(20), checks=checks)) as daemons:
        yield daemons


def _judge(daemons: Daemons, body: Mapping[str, Any]) -> None:
    with daemons.serving("base") as (installation, seconds):
        run_daemon_case(body, installation, patience=seconds)


def test_a_daemon_that_ends_fails_that_case_alone(dying: Daemons, checks: Checks) -> None:
    """The case that ended it says so, the next has a new one, and the check tells of it."""
    _judge(dying, LEAST)
    with pytest.raises(Violation, match="the daemon ended by itself, with status 7"):
        _judge(dying, DEADLY)
    _judge(dying, LEAST)
    assert checks.faults("daemon-stays-up") == ["the daemon ended by itself, with status 7"]


def test_a_daemon_that_does_not_start_is_started_once(tmp_path: Path) -> None:
    """All cases of a setup fail by the one cause, and the executable ran once for them."""
    starts = tmp_path / "starts"
    daemon = tmp_path / "daemon"
    daemon.write_text(f"#!/bin/sh\necho started >> {starts}\nexit 3\n")
    daemon.chmod(0o755)
    chosen = [f"{SUITE}/test_daemon.py::test_daemon[ids-{name}]" for name in ("zero", "string")]
    done = run_suite("--daemon", daemon, *chosen)
    assert done.returncode == 1
    assert "2  the daemon ended with status 3 instead of serving" in done.stdout
    assert starts.read_text() == "started\n"


def test_a_daemon_that_hangs_costs_so_many_cases_and_no_more(
    tmp_path: Path, checks: Checks
) -> None:
    """After some cases that waited in vain the others of the setup are not tried."""
    daemon = write_control(tmp_path / "daemon", SilentDaemon, entry="reference_daemon")
    causes = []
    with closing(Daemons(daemon, load_setup, patience=Patience(20), checks=checks)) as daemons:
        for _ in range(2 * ENOUGH):
            with pytest.raises(Violation) as caught, daemons.serving("base") as (installation, _):
                run_daemon_case(LEAST, installation, patience=0.1)
            causes.append(cause_of(caught.value))
    assert causes[:ENOUGH] == ["the end of the connection did not come in time"] * ENOUGH
    assert causes[ENOUGH:] == [f"not tried: the {ENOUGH} cases before waited in vain"] * ENOUGH


def test_patience_wears_out() -> None:
    """What waits in vain shortens the wait of all, and ends that of its own subject."""
    patience = Patience(8)
    for _ in range(ENOUGH):
        assert patience.seconds == 8
        with pytest.raises(TimedOut), patience.trying("a"):
            raise TimedOut("nothing came")
    with pytest.raises(Violation, match="not tried"), patience.trying("a"):
        pytest.fail("it was tried")
    with patience.trying("b") as seconds:
        assert seconds == 2


def test_an_answer_renews_hope() -> None:
    """A case that fails by what came does not count among those that waited in vain."""
    patience = Patience(8)
    for _ in range(3 * ENOUGH):
        with pytest.raises(TimedOut), patience.trying("a"):
            raise TimedOut("nothing came")
        with pytest.raises(Violation, match="wrong"), patience.trying("a"):
            raise Violation("wrong")
    assert patience.seconds == 2
