"""A migration is safe wherever it ends: it goes on, is taken back, and is the same by hand."""

import fcntl
import json
import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.world.installation import quote

from .examples import MAKERS
from .hosts import Host, Tree

RELEASES = sorted(MAKERS)


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest, host: Host) -> str:
    """A host of each release, with a copy of it beside."""
    MAKERS[str(request.param)](host)
    host.save(saved(host))
    return str(request.param)


def saved(host: Host) -> Path:
    """Where the copy is."""
    return host.home.with_name("saved")


def list_steps(host: Host) -> list[str]:
    """The steps of a migration, as lines of a shell."""
    said = json.loads(host.run("migrate", "--dry-run", "--json").succeeded().out)
    return list(said["steps"])


def each_beginning(host: Host) -> Iterator[int]:
    """For every number of steps, have the host with so many carried out by hand."""
    steps = list_steps(host)
    for count in range(len(steps) + 1):
        host.restore(saved(host))
        host.by_hand("\n".join(steps[:count]))
        yield count


def finish(host: Host) -> Tree:
    """Migrate what is left, and return what is there then."""
    host.run("migrate", "--yes").succeeded()
    return host.tree()


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


def test_the_printed_lines_give_the_same_tree(host: Host, release: str) -> None:
    """As they are printed, comments and all."""
    script = host.run("migrate", "--dry-run").succeeded().stdout
    migrated = finish(host)
    host.restore(saved(host))
    host.by_hand(script)
    assert host.tree() == migrated


def test_a_second_time_changes_nothing(host: Host, release: str) -> None:
    """It says so, and ends well."""
    migrated = finish(host)
    again = host.run("migrate", "--yes").succeeded()
    assert again.stdout.startswith("nothing to do: ")
    assert host.tree() == migrated
    assert list_steps(host) == []


@pytest.mark.parametrize(
    "release",
    [
        pytest.param(each, marks=[] if each in {"v0.2", "v0.4"} else [pytest.mark.nightly])
        for each in RELEASES
    ],
    indirect=True,
)
def test_it_goes_on_wherever_it_was_interrupted(host: Host, release: str) -> None:
    """The same tree as without; and no daemon starts on a half of it."""
    migrated = finish(host)
    host.restore(saved(host))
    was_under_way = False
    for _ in each_beginning(host):
        if is_under_way(host) and not was_under_way:
            was_under_way = True
            started = host.run("start")
            assert started.exit_code == 1
            assert "the migration of these files" in started.stderr
            assert "airlock migrate" in host.run("check").stdout
        assert finish(host) == migrated
    assert was_under_way


def test_it_can_be_taken_back_wherever_it_was_interrupted(host: Host, release: str) -> None:
    """By the script in the backup, which leaves everything as it was; at the end too."""
    before = host.tree()
    taken_back = 0
    for _ in each_beginning(host):
        for script in host.config.glob("backup-*/undo.sh"):
            if script.parent.suffix != ".copying":
                host.by_hand(f"sh {shlex.quote(str(script))}")
                assert host.tree() == before
                taken_back += 1
    assert taken_back > 4


def is_under_way(host: Host) -> bool:
    """Whether the backup is whole, and the migration has not ended."""
    return any(host.config.glob("backup-*.migrating"))


def test_what_was_changed_between_two_beginnings_is_not_lost(host: Host) -> None:
    """A file that neither the migration nor the old release put there is named, and stays."""
    MAKERS["v0.2"](host)
    host.save(saved(host))
    steps = list_steps(host)
    (removal,) = [n for n, step in enumerate(steps) if step.endswith("commands/tool.toml'")][-1:]
    host.by_hand("\n".join(steps[:removal]))
    host.write("commands/tool.toml", "# mine\n")
    host.write("agents/web/airlock.toml", "commands = ['git']\n", mode=0o600)
    before = host.tree()
    refused = host.run("migrate", "--yes")
    assert refused.exit_code == 1
    assert "commands/tool.toml is neither as a migration finds it" in refused.stderr
    assert "agents/web/airlock.toml is neither" in refused.stderr
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
    assert said.startswith("airlock: interrupted\nairlock: hint: the same again goes on")
    assert host.tree() == before


def test_who_waited_for_another_finds_nothing_left_to_do(host: Host) -> None:
    """And does not take the new files for old ones."""
    MAKERS["v0.2"](host)
    script = host.run("migrate", "--dry-run").succeeded().stdout
    directory = os.open(host.config, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        with host.begin("migrate", "--yes") as waiting:
            assert waiting.stderr is not None
            assert "waiting for another airlock-daemon" in waiting.stderr.readline()
            host.by_hand(script)
            migrated = host.tree()
            fcntl.flock(directory, fcntl.LOCK_UN)
            said = waiting.stderr.read()
    finally:
        os.close(directory)
    assert waiting.returncode == 1
    assert "another airlock-daemon has migrated these files meanwhile" in said
    assert host.tree() == migrated


def test_a_registration_that_no_service_names_is_to_be_named_again(host: Host) -> None:
    """After an interruption; without it nobody would be registered."""
    MAKERS["v0.4"](host)
    host.unit.unlink()
    host.save(saved(host))
    words = ("migrate", "--yes", "--agents", "airlock/agents.toml")
    host.write("~/airlock/agents.toml", f"[web]\npath = {quote(host.home / 'airlock/web')}\n")
    script = host.run(*words, "--dry-run").succeeded().stdout
    # When the backup is whole, and when the registration is written.
    for count, last in ((2, "\nmv "), (1, "\nchmod ")):
        host.by_hand(last.join(script.split(last)[:count]))
        refused = host.run("migrate", "--yes")
        assert refused.exit_code == 1
        assert "name the registration that" in refused.stderr
        assert "--agents FILE" in refused.stderr
        script = host.run(*words, "--dry-run").succeeded().stdout
    host.run(*words).succeeded()
    assert "[web]" in (host.config / "agents.toml").read_text()
    assert host.run("migrate").succeeded().stdout.startswith("nothing to do: ")


def test_a_full_disk_stops_it_and_it_goes_on_afterwards(host: Host, release: str) -> None:
    """No file can be written at first; nothing is lost, and the message says what to do."""
    migrated = finish(host)
    host.restore(saved(host))
    failed = host.run("migrate", "--yes", before=("sh", "-c", 'ulimit -f 0; exec "$@"', "sh"))
    assert failed.exit_code == 1
    assert "it goes on where it was interrupted" in failed.stderr
    assert finish(host) == migrated
