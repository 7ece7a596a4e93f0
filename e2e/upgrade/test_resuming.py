"""A migration that does not end is taken back: by itself, or by the script in its backup."""

import fcntl
import json
import os
import shlex
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from airlock_daemon.admin.migrate.layout import look
from airlock_daemon.admin.migrate.planning import Service, plan_migration
from airlock_daemon.admin.migrate.steps import Plan
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.paths import Locations

from .examples import MAKERS
from .hosts import Host, Tree

RELEASES = sorted(MAKERS)
ends = pytest.mark.parametrize("release", [RELEASES[0], RELEASES[-1]], indirect=True)
"""Marks tests of what no release has a part in: the first layout and the last are enough."""


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest, host: Host, monkeypatch: pytest.MonkeyPatch) -> str:
    """A host of each release, which is that of this process too, with a copy of it beside."""
    MAKERS[str(request.param)](host)
    host.save(saved(host))
    monkeypatch.setenv("HOME", str(host.home))
    return str(request.param)


def saved(host: Host) -> Path:
    """Where the copy is."""
    return host.home.with_name("saved")


def plan(host: Host) -> Plan:
    """The migration, as the program plans it."""
    locations = Locations.find()
    service = Service(path=str(host.unit), text="[Service]\n")
    return plan_migration(locations, look(locations), service=service, environment=())


class End:
    """A step at which a migration ends: by a fault, or `killed`, with nothing taken back."""

    path = "/"

    def __init__(self, *, killed: bool) -> None:
        self._is_killed = killed

    def apply(self, undo: ExitStack) -> None:
        """End here."""
        if self._is_killed:
            undo.pop_all()
        raise OSError("no space left on device")


def interrupt(host: Host, *, after: int, killed: bool) -> None:
    """Perform so many steps of the migration."""
    planned = plan(host)
    steps = (*planned.draft.steps[:after], End(killed=killed))
    draft = replace(planned.draft, steps=steps)
    with pytest.raises(AirlockError, match="no space left"), ExitStack() as undo:
        replace(planned, draft=draft).apply(undo)


def finish(host: Host) -> Tree:
    """Migrate, and return what is there then."""
    host.run("migrate", "--yes").succeeded()
    return host.tree()


@ends
def test_a_dry_run_changes_nothing_nor_does_a_question_that_nobody_answers(
    host: Host, release: str
) -> None:
    """And both show the plan."""
    before = host.tree()
    shown = host.run("migrate", "--dry-run").succeeded().stdout
    refused = host.run("migrate")
    assert refused.exit_code == 1
    assert "nothing was changed: there is no terminal to ask at" in refused.stderr
    assert refused.stdout == shown
    assert host.tree() == before


@ends
def test_a_second_time_changes_nothing(host: Host, release: str) -> None:
    """It says so, and ends well."""
    migrated = finish(host)
    again = host.run("migrate", "--yes").succeeded()
    assert again.stdout.startswith("nothing to do: ")
    assert host.tree() == migrated
    assert json.loads(host.run("migrate", "--json").succeeded().out)["steps"] == []


def test_a_fault_takes_back_what_was_done(host: Host, release: str) -> None:
    """At whichever step it comes."""
    before = host.tree()
    for number in range(len(plan(host).draft.steps) + 1):
        interrupt(host, after=number, killed=False)
        assert host.tree() == before


def test_an_interrupt_after_the_last_step_takes_back_everything(host: Host, release: str) -> None:
    """The backup has its final name by then."""
    before = host.tree()
    with ExitStack() as undo:
        plan(host).apply(undo)
        assert host.tree() != before
    assert host.tree() == before


def test_what_was_killed_is_taken_back_by_its_script(host: Host, release: str) -> None:
    """At whichever step."""
    before = host.tree()
    for number in range(len(plan(host).draft.steps) + 1):
        interrupt(host, after=number, killed=True)
        assert host.tree() != before
        (script,) = host.config.glob("backup-*.migrating/undo.sh")
        host.by_hand(f"sh {shlex.quote(str(script))}")
        assert host.tree() == before


@ends
def test_after_a_kill_no_daemon_starts_until_it_is_taken_back(host: Host, release: str) -> None:
    """Everything names the script; then it can be migrated."""
    interrupt(host, after=1, killed=True)
    (script,) = host.config.glob("backup-*.migrating/undo.sh")
    remedy = f"take it back: sh {shlex.quote(str(script))}; then: airlock migrate"
    for command in ("start", "migrate"):
        refused = host.run(command)
        assert refused.exit_code == 1
        assert "the migration of these files" in refused.stderr
        assert remedy in refused.stderr
    assert remedy in host.run("check").stdout
    host.by_hand(f"sh {shlex.quote(str(script))}")
    finish(host)


@ends
def test_it_can_be_taken_back_afterwards(host: Host, release: str) -> None:
    """By the script in the backup, which leaves everything as it was."""
    before = host.tree()
    finish(host)
    (script,) = host.config.glob("backup-*/undo.sh")
    host.by_hand(f"sh {shlex.quote(str(script))}")
    assert host.tree() == before


def test_ctrl_c_is_told_and_two_do_not_mix(host: Host) -> None:
    """The second of two waits for the first; who gives up is told that nothing is lost."""
    MAKERS["v0.2"](host)
    before = host.tree()
    directory = os.open(host.config, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        with host.begin("migrate", "--yes") as waiting:
            assert waiting.stderr is not None
            assert "waiting for another airlock-daemon" in waiting.stderr.readline()
            waiting.send_signal(signal.SIGINT)
            said = waiting.stderr.read()
    finally:
        os.close(directory)
    assert waiting.returncode == 1
    assert said.startswith("airlock: interrupted: nothing was changed")
    assert host.tree() == before


@pytest.mark.parametrize("release", ["v0.2"], indirect=True)
def test_who_waited_for_another_finds_nothing_left_to_do(host: Host, release: str) -> None:
    """And does not take the new files for old ones."""
    directory = os.open(host.config, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        with host.begin("migrate", "--yes") as waiting:
            assert waiting.stderr is not None
            assert "waiting for another airlock-daemon" in waiting.stderr.readline()
            with ExitStack() as undo:
                plan(host).apply(undo)
                undo.pop_all()
            # The service of this release is not what this process has written.
            host.unit.unlink()
            migrated = host.tree()
            fcntl.flock(directory, fcntl.LOCK_UN)
            said = waiting.stderr.read()
    finally:
        os.close(directory)
    assert waiting.returncode == 1
    assert "another airlock-daemon has migrated these files meanwhile" in said
    assert host.tree() == migrated


@ends
def test_a_full_disk_stops_it_and_nothing_is_changed(host: Host, release: str) -> None:
    """No file can be written at first; then all of it is done."""
    before = host.tree()
    failed = host.run("migrate", "--yes", before=("sh", "-c", 'ulimit -f 0; exec "$@"', "sh"))
    assert failed.exit_code == 1
    assert "a step failed, and nothing is changed" in failed.stderr
    assert host.tree() == before
    finish(host)
