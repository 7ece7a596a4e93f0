"""`airlock log`."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airlock_daemon.serving.audit.log import AuditLog
from airlock_daemon.serving.audit.record import Record
from commanding import airlock_daemon, run
from logs import FULL, head, write, writing
from worlds import World

ALLOWED: dict[str, Any] = {
    "command": "git",
    "args": ["push"],
    "outcome": "allowed",
    "exit_code": 0,
    "duration_ms": 12.0,
}
DENIED: dict[str, Any] = {
    "command": "git",
    "args": ["gc"],
    "outcome": "denied",
    "layer": "module",
    "rule": "gc",
}


@contextmanager
def following(world: World, *args: str, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """`log tail --follow` as a process, whose first line has come."""
    argv = [sys.executable, "-m", "airlock_daemon", "--config", str(world.config), "log", "tail"]
    with subprocess.Popen(
        [*argv, "--follow", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert "daemon-start" in process.stdout.readline()
            yield process
        finally:
            process.kill()


@pytest.fixture
def log(world: World) -> Iterator[AuditLog]:
    """A log that is being written; no daemon runs."""
    with writing(world.log) as log:
        log.write(Record(event="daemon-start"))
        yield log


def test_the_newest_requests_are_shown(world: World) -> None:
    """One a line, the last ten or as many as are asked for, those that are asked for."""
    write(world.log, *[ALLOWED] * 12, DENIED)
    shown = run(world, "log", "tail").stdout.splitlines()
    assert len(shown) == 10
    assert shown[-1].split()[1:] == ["my", "denied", "module", "git", "gc", "[rule", "gc]"]
    assert len(run(world, "log", "tail", "-n", "3").stdout.splitlines()) == 3
    denied = run(world, "log", "tail", "--outcome", "denied", "--layer", "module").stdout
    assert denied.splitlines() == shown[-1:]
    assert run(world, "log", "tail", "--agent", "other").stdout == ""
    assert run(world, "log", "tail", "--command", "git", "-n1").stdout == denied
    (record,) = run(world, "log", "tail", "--json", "-n1").stdout.splitlines()
    assert (json.loads(record)["seq"], json.loads(record)["rule"]) == (13, "gc")


def test_colours_are_for_terminals_only(world: World) -> None:
    """And there not with NO_COLOR, nor where the terminal has none."""
    write(world.log, ALLOWED)
    argv = [sys.executable, "-m", "airlock_daemon", "--config", str(world.config), "log", "tail"]
    assert "\x1b" not in run(world, "log", "tail").stdout
    for environment, is_coloured in (
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ):
        ours, theirs = pty.openpty()
        inherited = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        subprocess.run(argv, stdout=theirs, check=True, timeout=60, env=inherited | environment)
        os.close(theirs)
        with open(ours, "rb") as terminal:
            assert (b"\x1b[32mallowed\x1b[0m" in terminal.read1()) == is_coloured


def test_what_is_added_is_followed(world: World, log: AuditLog) -> None:
    """Across a rotation too, until Ctrl-C, which is a good end."""
    with following(world) as process:
        assert process.stdout is not None
        for number in range(300):
            log.write(Record(**{"event": "exec", **ALLOWED, "args": [*FULL[:-1], str(number)]}))
        # Characters of each number stand behind the others, so they are told by their count.
        for _ in range(300):
            assert "allowed" in process.stdout.readline()
        assert (world.log.parent / "airlock.log.1").exists()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stdout.read() == ""
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_it_ends_with_whoever_reads_it(world: World, log: AuditLog) -> None:
    """At once and quietly, also where nothing more is written."""
    for count in (0, 1):
        with following(world) as process:
            assert process.stdout is not None
            process.stdout.close()
            for _ in range(count):
                log.write(Record(event="daemon-start"))
            assert process.wait(30) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""


def test_a_terminal_of_another_encoding_gets_escapes(world: World) -> None:
    """Rather than an end in the middle."""
    write(world.log, {**ALLOWED, "args": ["blå\u4e2d"]})
    argv = [sys.executable, "-m", "airlock_daemon", "--config", str(world.config), "log", "tail"]
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(argv, capture_output=True, check=True, timeout=60, env=environment)
    assert b'"bl\xe5\\u4e2d"' in done.stdout


def test_requests_are_counted(world: World) -> None:
    """The sums first, then agents and commands, then what refused; and the same for programs."""
    write(world.log, *[ALLOWED] * 3, DENIED, {**ALLOWED, "profile": "other"})
    shown = run(world, "log", "stats").stdout.splitlines()
    assert shown[1] == "requests: 5 (4 allowed, 1 denied, 0 failed, 0 aborted, 0 invalid)"
    assert shown[2] == "agents: 2"
    assert "my\tgit\t4\t3\t1\t0\t0\t0\t12\t12" in shown
    assert shown[-1] == "module\tgc\t1"
    counted = json.loads(run(world, "log", "stats", "--json").stdout)
    assert (counted["requests"], counted["outcomes"]["allowed"]) == (5, 4)
    assert counted["denials"] == [{"layer": "module", "rule": "gc", "requests": 1}]
    assert counted["path"] == str(world.log)
    only = json.loads(run(world, "log", "stats", "--agent", "other", "--json").stdout)
    assert only["requests"] == 1
    assert "requests: 0" in run(world, "log", "stats", "--since", "2100-01-01").stdout
    said = run(world, "log", "stats", "--since", "yesterday", status=2).stderr
    assert "'yesterday' is no duration (90s, 15m, 24h, 7d, 2w) and no time" in said


def test_a_log_is_verified(world: World, tmp_path: Path) -> None:
    """Whole or not by the exit status, with the place; against a head in each form."""
    write(world.log, *[ALLOWED] * 3)
    noted = run(world, "log", "head").stdout
    assert noted == f"{head(world.log)}\n"
    assert json.loads(run(world, "log", "head", "--json").stdout)["seq"] == 3
    assert run(world, "log", "verify").stdout == f"whole: 3 records in 1 file; head {noted}"
    heads = tmp_path / "heads"
    heads.write_text(noted)
    number_and_hash = noted.split()
    for way in (str(heads), number_and_hash[1]):
        run(world, "log", "verify", "--head", way)
    lines = world.log.read_bytes().splitlines(keepends=True)
    world.log.write_bytes(b"".join(lines[:-1]))
    run(world, "log", "verify")
    for way in (str(heads), number_and_hash[1]):
        assert (
            "fault: the head that was noted"
            in run(world, "log", "verify", "--head", way, status=1).stdout
        )
    world.log.write_bytes(lines[0] + lines[2])
    shown = run(world, "log", "verify", status=1).stdout.splitlines()
    assert shown[0] == (f"fault: {world.log}:2: record 2 is missing before this record, which is 3")
    assert shown[1].startswith("not whole: 2 records in 1 file")
    assert shown[2].startswith("hint: keep a copy of these files as they are")
    report = json.loads(run(world, "log", "verify", "--json", status=1).stdout)
    assert report["is_whole"] is False
    assert (report["faults"][0]["kind"], report["faults"][0]["line"]) == ("removed", 2)


def test_a_head_comes_from_stdin_too(world: World) -> None:
    """As from another host; what is none, or is not there, is refused."""
    write(world.log, ALLOWED)
    options = ("--config", str(world.config), "log", "verify", "--head", "-")
    noted = run(world, "log", "head").stdout
    for text, status in ((noted, 0), ("", 1), (f"2 {'0' * 64}\n", 1)):
        airlock_daemon(*options, says=text, status=status)
    said = run(world, "log", "verify", "--head", "/nowhere", status=1).stderr
    assert "/nowhere cannot be read: No such file or directory" in said
    assert "hint: --head takes a hash" in said


def test_a_head_is_witnessed_by_a_ref(world: World, tmp_path: Path) -> None:
    """A clone of the repository shows what was cut, and what was written anew."""
    ours, theirs = str(tmp_path / "ours"), str(tmp_path / "theirs")
    _git("init", "--quiet", "--bare", ours)
    git = ("--repository", ours)
    for count in (1, 2):
        write(world.log, ALLOWED)
        noted = run(world, "log", "head", "--to-git", "airlock-log", *git).stdout
        assert noted == f"{head(world.log)}\n"
        # Nothing new is nothing to note.
        run(world, "log", "head", "--to-git", "airlock-log", *git)
        assert _git("-C", ours, "rev-list", "--count", "airlock-log") == f"{count}\n"
    _git("clone", "--quiet", "--branch=airlock-log", ours, theirs)
    clone = ("--from-git", "origin/airlock-log", "--repository", theirs)
    write(world.log, ALLOWED)
    assert run(world, "log", "verify", *clone).stdout.startswith("whole: 3 records in 1 file")
    lines = world.log.read_bytes().splitlines(keepends=True)
    world.log.write_bytes(lines[0])
    run(world, "log", "verify")
    cut = run(world, "log", "verify", *clone, status=1).stdout
    assert "the head that was noted, record 2, is not there: the log was cut at its end" in cut
    world.log.unlink()
    write(world.log, *[DENIED] * 3)
    run(world, "log", "verify")
    anew = run(world, "log", "verify", *clone, status=1).stdout
    assert anew.count("fault: the head that was noted, record") == 2
    assert "is not there: the log was cut or written anew" in anew


@pytest.mark.parametrize("way", ["taken", "merged"])
def test_a_commit_that_takes_heads_away_proves_nothing(
    world: World, tmp_path: Path, way: str
) -> None:
    """Though it stands on top of the others, as a server that protects the branch wants it."""
    ours = str(tmp_path / "ours")
    _git("init", "--quiet", ours)
    git = ("--repository", ours)
    for _ in range(2):
        write(world.log, ALLOWED)
        run(world, "log", "head", "--to-git", "airlock-log", *git)
    noted = _git("-C", ours, "rev-parse", "airlock-log").strip()
    world.log.unlink()
    write(world.log, DENIED)
    anew = ("-c", "user.name=a", "-c", "user.email=a@b.c", "commit-tree", "-m", "x", "-p", noted)
    blob = ("hash-object", "-w", str(tmp_path / "heads"))
    Path(tmp_path, "heads").write_text(f"{head(world.log)}\n")
    entry = f"100644 blob {_git('-C', ours, *blob).strip()}\theads\n"
    tree = subprocess.run(
        ["git", "-C", ours, "mktree"], input=entry, check=True, capture_output=True, text=True
    ).stdout.strip()
    root = _git("-C", ours, *anew[:-2], tree).strip()
    more = ("-p", root) if way == "merged" else ()
    tip = _git("-C", ours, *anew, *more, tree).strip()
    _git("-C", ours, "update-ref", "refs/heads/airlock-log", tip)
    said = run(world, "log", "verify", "--from-git=airlock-log", *git, status=1).stderr
    assert f'the commit {tip[:12]} of "airlock-log"' in said
    assert "does not only add heads" in said


def test_a_name_of_two_refs_is_refused(world: World, tmp_path: Path) -> None:
    """A branch that is called like the ref of a remote would be read in its place."""
    ours = str(tmp_path / "ours")
    _git("init", "--quiet", ours)
    git = ("--repository", ours)
    write(world.log, ALLOWED)
    run(world, "log", "head", "--to-git", "refs/remotes/origin/airlock-log", *git)
    run(world, "log", "verify", "--from-git=origin/airlock-log", *git)
    run(world, "log", "head", "--to-git", "origin/airlock-log", *git)
    said = run(world, "log", "verify", "--from-git=origin/airlock-log", *git, status=1).stderr
    names = "refs/heads/origin/airlock-log and refs/remotes/origin/airlock-log"
    assert f'"origin/airlock-log" stands for {names}' in said


def test_a_ref_of_something_else_is_left_alone(world: World, tmp_path: Path) -> None:
    """Nor does a hook of the repository run, as of one that an agent has written."""
    write(world.log, ALLOWED)
    ours = str(tmp_path / "ours")
    _git("init", "--quiet", "--initial-branch=main", ours)
    hook = Path(ours, ".git/hooks/reference-transaction")
    hook.write_text(f"#!/bin/sh\n: >{tmp_path}/ran\n")
    hook.chmod(0o755)
    git = ("--repository", ours)
    run(world, "log", "head", "--to-git", "airlock-log", *git)
    assert not (tmp_path / "ran").exists()
    hook.unlink()
    Path(ours, "file").write_text("x")
    _git("-C", ours, "add", "file")
    _git("-C", ours, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "-m", "x")
    said = run(world, "log", "head", "--to-git", "main", *git, status=1).stderr
    assert f'"refs/heads/main" of {ours} has other files than heads of a log' in said
    for ref in ("no/../ref", "refs/heads/a b", "refs/heads/x.lock"):
        said = run(world, "log", "head", f"--to-git={ref}", *git, status=1).stderr
        assert "the head cannot be noted in" in said
    said = run(world, "log", "verify", "--from-git=nothing", *git, status=1).stderr
    assert "no heads can be read from" in said


def test_no_agent_chooses_what_git_writes_where(world: World, tmp_path: Path) -> None:
    """By a symlink in place of a ref's log, and a name that git writes there."""
    write(world.log, ALLOWED)
    ours, start = tmp_path / "ours", tmp_path / ".bashrc"
    _git("init", "--quiet", str(ours))
    for key in ("user.name", "committer.name", "author.name"):
        _git("-C", str(ours), "config", key, "$(touch ran)")
    (ours / ".git/logs/refs/heads").mkdir(parents=True)
    (ours / ".git/logs/refs/heads/airlock-log").symlink_to(start)
    words = ("log", "head", "--to-git", "airlock-log", "--repository", str(ours))
    run(world, *words)
    assert "ran" not in start.read_text()
    _git("-C", str(ours), "worktree", "add", "--quiet", str(tmp_path / "tree"), "airlock-log")
    world.write_profile(f'[workspace]\nsame_path = ["{ours}"]\n')
    (world.config / "agents.toml").write_text(world.agents_file.read_text())
    for place in (ours, tmp_path / "tree"):
        said = run(world, *words[:-1], str(place), status=1).stderr
        assert f"the repository of {place} is in {ours}, where an agent" in said
        assert "hint: name a repository of your own" in said


def test_a_worktree_whose_own_git_directory_an_agent_writes_is_refused(
    world: World, tmp_path: Path
) -> None:
    """Also where the agent has made another repository its common directory."""
    write(world.log, ALLOWED)
    theirs, other, tree = world.workspace / "theirs", tmp_path / "other", tmp_path / "tree"
    for each in (theirs, other):
        _git("init", "--quiet", str(each))
    named = ("-c", "user.name=x", "-c", "user.email=x@x")
    _git("-C", str(theirs), *named, "commit", "--quiet", "--allow-empty", "-m", "x")
    _git("-C", str(theirs), "worktree", "add", "--quiet", str(tree))
    world.write_profile(f'[workspace]\nsame_path = ["{world.workspace}"]\n')
    (theirs / ".git/worktrees/tree/commondir").write_text(f"{other}/.git\n")
    words = ("log", "head", "--to-git", "airlock-log", "--repository", str(tree))
    said = run(world, *words, status=1).stderr
    assert f"the repository of {tree} is in {world.workspace}, where an agent" in said
    assert not _git("-C", str(other), "for-each-ref")


@pytest.mark.parametrize("place", ["workspace", "ours", "home", "again", "below"])
def test_no_agent_chooses_the_git_that_notes_a_head(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """As an active virtual environment of a workspace would; nor does it run before a refusal.

    A fault of a profile stops neither the noting nor the refusal.
    """
    write(world.log, ALLOWED)
    world.write_profile(f'[unknown]\n[workspace]\nsame_path = ["{world.workspace}"]\n')
    program = world.workspace / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n: >{tmp_path}/ran\nexec {shutil.which("git")} "$@"\n')
    program.chmod(0o755)
    home = Path(world.locations.homes_dir, "my")
    places = {"ours": tmp_path / "ours", "workspace": world.workspace, "home": home}
    ours = str(places.get(place, tmp_path / "again"))
    mounting = place in ("again", "below")
    if mounting:
        Path(ours).mkdir()
        mounted = world.workspace if place == "again" else program.parent
        if subprocess.run(
            ["mount", "--bind", mounted, ours], check=False, capture_output=True
        ).returncode:
            pytest.skip("needs to mount")
    try:
        _git("init", "--quiet", ours)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        git = ("--repository", ours)
        status = 0 if place == "ours" else 1
        said = run(world, "log", "head", "--to-git=airlock-log", *git, status=status)
        if place == "ours":
            run(world, "log", "verify", "--from-git=airlock-log", *git)
        else:
            assert f"the repository of {ours} is in " in said.stderr
    finally:
        if mounting:
            subprocess.run(["umount", ours], check=True)
    assert not (tmp_path / "ran").exists()


def test_a_git_that_is_a_symlink_into_a_workspace_notes_no_head(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the symlink is."""
    write(world.log, ALLOWED)
    world.write_profile(f'[workspace]\nsame_path = ["{world.workspace}"]\n')
    program, link = world.workspace / "git", tmp_path / "bin" / "git"
    program.write_text(f'#!/bin/sh\n: >{tmp_path}/ran\nexec {shutil.which("git")} "$@"\n')
    program.chmod(0o755)
    link.parent.mkdir()
    link.symlink_to(program)
    ours = str(tmp_path / "ours")
    _git("init", "--quiet", ours)
    monkeypatch.setenv("PATH", f"{link.parent}:{os.environ['PATH']}")
    run(world, "log", "head", "--to-git=airlock-log", "--repository", ours)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("is_profile", [True, False])
def test_no_head_is_noted_where_a_workspace_may_be_hidden(
    world: World, tmp_path: Path, *, is_profile: bool
) -> None:
    """A profile or a registration that cannot be read names none: it is to be mended first."""
    write(world.log, ALLOWED)
    ours = str(tmp_path / "ours")
    _git("init", "--quiet", ours)
    world.write_profile(f'[workspace]\nsame_path = ["{ours}"]\n')
    faulty = (world.agent / "airlock.toml") if is_profile else world.agents_file
    faulty.write_text(f"{faulty.read_text()}\n= nonsense\n")
    git = ("--repository", ours)
    said = run(world, "log", "head", "--to-git=airlock-log", *git, status=1).stderr
    assert f"{faulty}: " in said
    assert not _git("-C", ours, "for-each-ref")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout


COMMANDS = ("tail", "stats", "verify", "head")


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_log_it_is_told(world: World, command: str) -> None:
    """Where it would be, and why there may be none."""
    said = run(world, "log", command, status=1).stderr
    assert f"airlock: there is no audit log at {world.log}" in said
    assert "airlock: hint: the daemon begins it when it starts" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_a_log_on_stderr_is_elsewhere(world: World, command: str) -> None:
    """Which is told, and where to look."""
    path = world.config / "config.toml"
    path.write_text(path.read_text().replace(str(world.log), "-"))
    said = run(world, "log", command, status=1).stderr
    assert "airlock: the audit log is on stderr" in said
    assert "docker logs" in said


def test_a_log_that_may_not_be_read_is_told(world: World) -> None:
    """With who may; root may read everything, but for a root without that capability."""
    write(world.log, ALLOWED)
    world.log.chmod(0)
    argv = [sys.executable, "-m", "airlock_daemon", "--config", str(world.config), "log"]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("there is no setpriv(1) to give up root's capability with")
        argv = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *argv]
    for command in COMMANDS:
        done = subprocess.run(
            [*argv, command], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 1
        assert f"the audit log {world.log} cannot be read: Permission denied" in done.stderr
        assert "hint: ask as the user that the daemon runs as" in done.stderr


def test_faults_elsewhere_in_the_configuration_do_not_hide_the_log(world: World) -> None:
    """That is when it is looked at; a fault of [log] itself says where it is unknown."""
    write(world.log, ALLOWED)
    path = world.config / "config.toml"
    text = path.read_text()
    world.write_config("[limits]\nrunning = -1\n[sandbox]\nmode = 'nothing'\n")
    assert "git push" in run(world, "log", "tail").stdout
    path.write_text(text + "max_files = 0\n")
    assert "[log] max_files" in run(world, "log", "tail", status=1).stderr
    path.unlink()
    assert "there is no such file" in run(world, "log", "tail", status=1).stderr


def test_an_outcome_that_there_is_not_is_wrong_usage(world: World) -> None:
    """Rather than an empty answer."""
    said = run(world, "log", "tail", "--outcome", "refused", status=2).stderr
    assert "'refused' is none of allowed, denied" in said
