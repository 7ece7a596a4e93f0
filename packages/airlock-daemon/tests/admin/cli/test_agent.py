"""`airlock agent`: an agent added, listed and removed by the real command."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from commanding import Done, airlock_daemon, answer, run
from running import Daemon, read_answer, request
from worlds import BOX_USER, World


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home; `app` beside it is a project, which the user of boxes can enter."""
    with tempfile.TemporaryDirectory(prefix="home-") as folder:
        root = Path(os.path.realpath(folder))
        root.chmod(0o755)
        home = root / "home"
        home.mkdir()
        (root / "app").mkdir()
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.chdir(root)
        yield home


def files(directory: Path) -> dict[str, str]:
    """Every file of a directory with its text, and every directory."""
    paths = sorted(directory.rglob("*"))
    return {str(path): path.read_text() if path.is_file() else "" for path in paths}


@pytest.fixture
def started(home: Path) -> Iterator[str]:
    """The printed line that starts the daemon, which runs: it was copied to a shell."""
    words = ("--workspace", "app", "--command", "git", "--yes")
    said = airlock_daemon("agent", "add", "my", *words).stdout
    if os.geteuid() == 0:
        with open(home / ".config" / "airlock" / "config.toml", "a") as file:
            file.write(f'[sandbox]\nuser = "{BOX_USER}"\n')
    line = said.partition("Start the daemon:\n\n")[2].splitlines()[0].strip()
    argv = ["sh", "-c", f"exec {line}"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        shown = iter(process.stderr.readline, "")
        assert any("airlock: agent my: " in message for message in shown)
        yield line
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
    assert process.returncode == 0


def test_from_an_empty_home_to_a_command_that_runs(home: Path, started: str) -> None:
    """The lines that were printed are all that it takes; what the daemon serves is known then."""
    workspace = str(home.parent / "app")
    subprocess.run(["git", "init", "--quiet", workspace], check=True)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect("home/.config/airlock/sockets/my/airlock.sock")
        connection.sendall(request("git", "rev-parse", "--show-toplevel", cwd=workspace))
        answered = read_answer(connection)
    assert answered.text() == f"{workspace}\n", answered.messages
    assert answered.exit_code == 0
    assert airlock_daemon("agent", "list").stdout.split("\t")[:3] == ["my", "git", "yes"]
    said = airlock_daemon("agent", "add", "two", "--yes")
    assert said.stderr == ""
    assert "\nThe running daemon serves it.\nNext, " in said.stdout
    assert started not in said.stdout
    rows = airlock_daemon("agent", "list").stdout.splitlines()
    assert [row.split("\t")[2] for row in rows] == ["yes", "yes"]
    said = airlock_daemon("agent", "remove", "my", "--yes")
    kept = f"the home of its containers is still there: {home}/.local/share/airlock/containers/"
    assert f"not registered any more\n{kept}homes/my\n" in said.stdout
    assert said.stdout.endswith("the running daemon has reloaded\n")
    rows = airlock_daemon("agent", "list").stdout.splitlines()
    assert [row.split("\t")[0] for row in rows] == ["two"]


def test_a_daemon_that_does_not_reload_is_told(world: World) -> None:
    """The files are as they should be, and the daemon says what keeps it from taking them."""
    with Daemon(world):
        in_the_way = Path(world.locations.sockets_dir) / "new"
        in_the_way.mkdir()
        (in_the_way / "airlock.sock").write_text("")
        said = add(world, "--json", status=1)
        report = json.loads(said.stdout)["reload"]
        assert report["reloaded"] is False
        assert "something that is no socket stands at" in report["faults"][0]
        assert "1 fault found: the daemon goes on with what it had\n" in said.stderr
        (in_the_way / "airlock.sock").unlink()
        report = json.loads(run(world, "agent", "remove", "my", "--yes", "--json").stdout)["reload"]
        assert (report["added"], report["removed"]) == (["new"], ["my"])


def test_without_a_terminal_nothing_is_changed_unless_told_so(home: Path) -> None:
    """What would be made is printed all the same."""
    done = airlock_daemon("agent", "add", "my", status=1)
    assert f"make {home}/.config/airlock/config.toml:\n" in done.stdout
    assert '    [my]\n    path = "agents/my"\n' in done.stdout
    shown = done.stdout.splitlines()
    assert not [line for line in shown if line.lstrip().startswith("#")]
    assert "    [env]" not in shown
    assert done.stderr == (
        "airlock: nothing was changed: there is no terminal to ask at\n"
        "airlock: hint: the same with --yes makes these changes\n"
    )
    assert files(home) == {}
    airlock_daemon("agent", "add", "my", "--yes")
    before = files(home)
    done = airlock_daemon("agent", "remove", "my", status=1)
    assert done.stdout.endswith(f"remove {home}/.config/airlock/agents/my/airlock.toml\n")
    assert files(home) == before


def test_a_person_at_a_terminal_is_asked(home: Path) -> None:
    """After all of it was shown."""
    status, shown = answer("y\n", "agent", "add", "my", "--command", "ssh")
    assert status == 0
    assert shown.index('enable = ["ssh"]') < shown.index("make these changes? [y/N]")
    written = (home / ".config/airlock/agents/my/airlock.toml").read_text()
    assert 'commands = ["ssh"]' in written
    assert "[ssh]\nhosts = []" in written
    status, shown = answer("y\n", "agent", "remove", "my")
    assert status == 0
    assert not (home / ".config/airlock/agents/my").exists()


def test_all_that_is_made_is_private(home: Path) -> None:
    """But for the agent's socket directory, which a container's user must be able to enter."""
    airlock_daemon("agent", "add", "my", "--yes")
    modes = {path: path.stat().st_mode & 0o777 for path in home.rglob("*")}
    assert modes.pop(home / ".config/airlock/sockets/my") == 0o755
    assert {modes[path] for path in modes if path.is_dir()} == {0o700}
    assert {modes[path] for path in modes if path.is_file()} == {0o600}


def test_an_existing_configuration_is_changed_by_the_lines_it_takes(world: World) -> None:
    """Those that change are shown; commands that were enabled already are not."""
    config = world.config / "config.toml"
    config.write_text(f'[commands]\nenable = ["sh"] # mine\n[log]\npath = "{world.log}"\n')
    done = add(world, "--command", "sh", "--command", "git", "--path", "new")
    assert f"change {config}:\n" in done.stdout
    assert '    - enable = ["sh"] # mine\n    + enable = ["sh", "git"] # mine\n' in done.stdout
    assert config.read_text().startswith('[commands]\nenable = ["sh", "git"] # mine\n[log]')
    assert (world.workspace / "new" / "airlock.toml").is_file()


def add(world: World, *args: str, status: int = 0) -> Done:
    world.write_shared_module("sh", "/bin/sh")
    return run(world, "agent", "add", "new", "--yes", *args, status=status)


def test_faults_undo_everything_and_are_told(world: World) -> None:
    """Whether the new agent has them or another one: start would refuse the files."""
    world.write_profile("[workspce]\n")
    before = files(world.root)
    done = add(world, "--command", "ssh", status=1)
    said = done.stderr.splitlines()
    assert said[0] == "airlock: nothing was changed, since the files would have these faults:"
    assert "workspce" in said[1]
    (world.config / "modules" / "sh.toml").unlink()
    (world.config / "modules").rmdir()
    assert files(world.root) == before


def test_options_that_were_given_are_in_the_line_that_starts(world: World) -> None:
    """In full, wherever it is typed later."""
    (world.root / "s o").mkdir()
    done = add(world, "--json", "--sockets", "../s o")
    report = json.loads(done.stdout)
    sockets = str(world.root / "s o")
    assert report["start"][-7:] == [
        "start", "--config", str(world.config), "--sockets", sockets,
        "--agents", str(world.agents_file),
    ]  # fmt: skip
    assert f"source={sockets}/new,target=/run/airlock,readonly'" in report["docker_run"]


FORMS = {
    "run": "run my IMAGE",
    "docker": "IMAGE",
    "compose": "/agents/my/compose.yaml run --rm agent",
    "devcontainer": "--config .devcontainer/airlock/devcontainer.json",
}


@pytest.mark.parametrize("form", FORMS)
def test_one_form_is_printed_and_the_last_line_is_what_to_type(home: Path, form: str) -> None:
    """Of the others there is no word. For an agent that is there, a file is printed as it is."""
    said = airlock_daemon("agent", "add", "my", "--workspace", "app", "--print", form, "--yes")
    assert said.stdout.endswith(f"{FORMS[form]}\n"), said.stdout
    words = {"docker": "docker run", "compose": "services:", "devcontainer": "workspaceMount"}
    assert [each for each in words if words[each] in said.stdout] == [form] * (form in words)
    if form == "run":
        airlock_daemon("agent", "add", "my", status=1)
    else:
        before = files(home)
        again = airlock_daemon("agent", "add", "my", "--print", form)
        assert textwrap.indent(again.stdout, " " * 4) in said.stdout
        assert again.stdout.startswith(("docker run", "services:", "{"))
        assert "airlock: Next, " in again.stderr
        assert files(home) == before


def test_an_agent_is_registered_though_nobody_reads_what_is_shown(home: Path) -> None:
    """As behind `| head -1`, with --yes; else it could not be seen what was agreed to."""
    for more, registered in (("--yes", True), ("--json", False)):
        reader, writer = os.pipe()
        os.close(reader)
        argv = [sys.executable, "-m", "airlock_daemon", "agent", "add", "my", more]
        with subprocess.Popen(argv, stdout=writer, stderr=subprocess.PIPE) as process:
            os.close(writer)
            assert process.stderr is not None
            process.stderr.read()
        assert process.returncode == (0 if registered else 1)
        assert (home / ".config/airlock/agents.toml").exists() is registered
        if registered:
            assert airlock_daemon("agent", "list").stdout.startswith("my\t")
            airlock_daemon("agent", "remove", "my", "--yes")
            (home / ".config/airlock/agents.toml").unlink()


def test_programs_are_told_what_was_made_and_what_comes_next(world: World) -> None:
    """On stdout alone; what changes is shown on stderr."""
    done = add(world, "--json", "--command", "ssh")
    report = json.loads(done.stdout)
    assert report["name"] == "new"
    assert report["path"] == str(world.config / "agents" / "new")
    assert report["registration"] == str(world.agents_file)
    assert report["enabled"] == ["ssh"]
    assert (report["daemon"], report["reload"]) == (None, None)
    assert report["compose"].startswith("services:\n")
    assert report["devcontainer"]["image"] == "IMAGE"
    assert "make " in done.stderr
    # What its boxes keep goes with it.
    kept = world.config / "state/homes/new/sh/.cache"
    kept.mkdir(parents=True)
    done = run(world, "agent", "remove", "--json", "--yes", "new")
    assert not kept.parent.parent.exists()
    assert json.loads(done.stdout) == {
        "name": "new",
        "home": str(world.config / "containers" / "homes" / "new"),
        "registration": str(world.agents_file),
        "removed": [str(world.config / "agents" / "new")],
        "kept": [],
        "reload": None,
    }
    (row,) = json.loads(run(world, "agent", "list", "--json").stdout)
    assert row == {
        "name": "my",
        "commands": ["sh", "git", "ssh", "git-remote"],
        "served": False,
        "path": str(world.agent),
    }


def test_a_daemon_of_other_agents_is_to_be_started_anew(world: World) -> None:
    """Its command line names another registration, or none."""
    with Daemon(world):
        world.agents_file = world.root / "other.toml"
        said = add(world).stdout
        assert "Stop the running daemon, which serves other agents, and start it by:\n" in said
        assert f"--agents {world.agents_file}\n" in said


def test_what_stays_at_an_engine_is_told_without_the_grant(world: World) -> None:
    """Nobody knows which engine it is, and the record of its images goes."""
    record = world.config / "state" / "docker" / "my.images"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    said = run(world, "agent", "remove", "my", "--yes").stderr
    assert "what agent my has made at a docker engine stays" in said
    assert "docker ps -a --filter label=airlock.agent=my" in said


def test_agents_that_are_added_at_once_are_all_there(home: Path) -> None:
    """One changes the files after the other."""
    argv = [sys.executable, "-m", "airlock_daemon", "agent", "add", "--yes"]
    names = ["a", "b", "c"]
    commands = ["git", "ssh", "aws"]
    processes = [
        subprocess.Popen([*argv, name, "--command", command], stdout=subprocess.DEVNULL)
        for name, command in zip(names, commands, strict=True)
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    rows = [row.split("\t") for row in airlock_daemon("agent", "list").stdout.splitlines()]
    assert sorted((row[0], row[1]) for row in rows) == list(zip(names, commands, strict=True))
