"""`airlock start`, as far as it is a command."""

import subprocess
import sys

from commanding import run
from worlds import World


def test_start_refuses_faults(world: World) -> None:
    """It says what is wrong on stderr, each line marked as Airlock's, and ends with 1."""
    world.write_config("[sandbox]\nmode = 'nothing'\n")
    said = run(world, "start", status=1).stderr
    assert all(line.startswith("airlock: ") for line in said.splitlines())
    assert "sandbox" in said


def test_a_missing_config_is_answered_with_the_lines_to_write(world: World) -> None:
    """As lines, each marked as Airlock's, with and without Typer."""
    (world.config / "config.toml").unlink()
    lines = [
        f"airlock: {world.config}/config.toml: there is no such file; create it with these lines:",
        "airlock:     [commands]",
        'airlock:     enable = ["git-remote", "terraform"]',
    ]
    for more in ([], ["--json"]):
        assert run(world, "start", *more, status=1).stderr.splitlines()[:3] == lines


def test_a_daemon_without_agents_runs(world: World) -> None:
    """It says so, serves nobody, and is ready; that is the last line."""
    argv = [sys.executable, "-m", "airlock_daemon", "--config", str(world.config), "start"]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines: list[str] = []
    while "airlock: ready\n" not in lines:
        line = process.stderr.readline()
        assert line, lines
        lines.append(line)
    process.terminate()
    assert process.wait(30) == 0
    process.stderr.close()
    assert "airlock: enabled commands: sh, git\n" in lines
    assert "no agents registered" in "".join(lines)
