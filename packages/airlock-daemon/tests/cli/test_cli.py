"""The command line, as a process of its own."""

import json
import subprocess
import sys

import pytest

from airlock_daemon import __version__
from airlock_modules import builtin_names, parse_module
from running import Daemon
from worlds import World


def run(world: World, *args: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `airlock-daemon` on a world and check its exit status."""
    argv = [sys.executable, "-m", "airlock_daemon", "--config", str(world.config)]
    argv += ["--agents", str(world.agents_file), *args]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == status, done.stderr
    return done


def test_version_needs_no_configuration() -> None:
    """It is printed without Typer, and with it."""
    for args in (["version"], ["--json", "version"]):
        done = subprocess.run(
            [sys.executable, "-m", "airlock_daemon", *args],
            capture_output=True,
            text=True,
            check=True,
        )
        assert __version__ in done.stdout


def test_check_is_quiet_about_what_is_good(world: World) -> None:
    """A good configuration is one line and status 0."""
    assert run(world, "check").stdout == "good; agents: my\n"


def test_check_reports_every_fault_and_ends_with_1(world: World) -> None:
    """Two faults in two files show together, with file, key and remedy."""
    world.write_config("[daemon]\ncolour = 1\n")
    world.write_profile("[workspce]\n")
    said = run(world, "check", status=1).stdout
    assert "config.toml" in said
    assert "colour" in said
    assert "airlock.toml" in said
    assert "workspace" in said
    report = json.loads(run(world, "check", "--json", status=1).stdout)
    assert len(report["faults"]) == 2


def test_bad_toml_is_told_with_its_line(world: World) -> None:
    """A file that is no TOML at all names the line."""
    (world.agent / "airlock.toml").write_text("commands = []\n= 1\n")
    assert "line 2" in run(world, "check", status=1).stdout


def test_start_refuses_faults(world: World) -> None:
    """It says what is wrong on stderr, each line marked as Airlock's, and ends with 1."""
    world.write_config("[sandbox]\nmode = 'auto'\n")
    said = run(world, "start", status=1).stderr
    assert all(line.startswith("airlock: ") for line in said.splitlines())
    assert "sandbox" in said


@pytest.mark.parametrize("name", builtin_names())
def test_show_prints_a_valid_override(world: World, name: str) -> None:
    """What is shown can be put into commands/ as it is."""
    text = run(world, "show", name).stdout
    parse_module(text, name=name, source="test")


def test_show_for_an_agent_prints_its_override(world: World) -> None:
    """The module that is active for the agent is shown, the built-in one where it has none."""
    assert "/bin/sh" in run(world, "show", "sh", "--agent", "my").stdout
    assert run(world, "show", "git", "--agent", "my").stdout == run(world, "show", "git").stdout
    run(world, "show", "sh", status=1)
    run(world, "show", "git", "--agent", "other", status=1)


def test_profiles_are_listed_and_shown(world: World) -> None:
    """Name, socket and directory of each agent, and what one may use."""
    (row,) = json.loads(run(world, "profile", "list", "--json").stdout)
    assert row == {"name": "my", "socket": world.socket, "path": str(world.agent)}
    assert run(world, "profile", "list").stdout.split() == ["my", world.socket, str(world.agent)]
    shown = json.loads(run(world, "--json", "profile", "show", "my").stdout)
    assert shown["commands"] == ["sh", "git"]
    assert shown["host"] is True
    assert "host: yes" in run(world, "profile", "show", "my").stdout
    run(world, "profile", "show", "other", status=1)


def test_test_decides_without_a_daemon(world: World) -> None:
    """Every word after the agent's name is the tool's, also one that is an option of ours."""
    world.write_module("sh", "/bin/sh", '[deny]\nargs = ["--agents"]\n')
    assert "allowed" in run(world, "test", "my", "sh", "--json", "-c", "x").stdout
    said = run(world, "test", "my", "sh", "--agents", "x", status=1).stdout
    assert "denied" in said
    assert "--agents" in said
    assert "none is running" in said
    assert "unknown command: make" in run(world, "test", "my", "make", status=1).stdout


def test_test_asks_the_running_daemon(world: World) -> None:
    """An answer that differs from the files is a failure, since the daemon has older ones."""
    with Daemon(world):
        assert "daemon: allowed" in run(world, "test", "my", "sh", "--bad").stdout
        world.write_module("sh", "/bin/sh", '[deny]\nargs = ["--bad"]\n')
        done = run(world, "test", "my", "sh", "--bad", status=1)
        assert "decides otherwise" in done.stderr


def test_test_explains(world: World) -> None:
    """The arguments as they are read, each layer, the rule, and the reason for it."""
    said = run(world, "test", "my", "git", "-C", "sub", "credential", "fill", status=1).stdout
    layers = [line.partition(":")[0] for line in said.splitlines() if not line.startswith(" ")]
    assert layers[1:] == [
        "ceiling", "module", "profile", "rules", "denied", "rule", "reason", "hint", "daemon",
    ]  # fmt: skip
    assert '  subcommand "credential' in said
    said = run(world, "test", "my", "git", "-C", "sub", "status").stdout
    assert '  path "sub"' in said
    assert "workspace: passed: no path leads out" in said
    said = run(world, "test", "my", "git", "-C", "/root", "status", status=1).stdout
    assert 'denied: the path "/root" leads out of the workspace' in said
    assert 'rule: "outside"' in said
    report = json.loads(
        run(world, "test", "--json", "my", "git", "-C", "..", "log", status=1).stdout
    )
    assert report["decision"]["allowed"] is True
    assert report["workspace"]["rule"] == "outside"


def test_test_explains_to_programs(world: World) -> None:
    """With --json the same is data, whatever bytes the arguments have."""
    done = run(world, "test", "--json", "my", "git", "push", "--force", "origin", "\udcff")
    report = json.loads(done.stdout)
    assert report["decision"]["allowed"] is True
    assert [step["layer"] for step in report["decision"]["steps"]] == [
        "ceiling", "module", "profile", "rules",
    ]  # fmt: skip
    assert report["arguments"]["subcommand"] == ["push"]
    assert report["arguments"]["flags"][0]["text"] == "--force"
    assert report["arguments"]["words"][-1]["text"] == {"base64": "/w=="}
    assert (report["daemon"], report["agrees"]) == (None, True)


def test_check_finds_rules_without_effect(world: World) -> None:
    """A rule that cannot match, one that another one makes needless, and a flag nobody knows."""
    rules = '["push & --force", "push", "pusch", "--frobnicate"]'
    world.write_module("git", "git", f'[syntax]\noptions = "git"\n[deny]\nargs = {rules}\n')
    findings = json.loads(run(world, "check", "--json", status=1).stdout)["findings"]
    told = {finding["problem"].split('"')[1] for finding in findings}
    assert told == {"push & --force", "pusch", "--frobnicate"}
    assert {finding["key"] for finding in findings} == {"deny.args"}


def test_wrong_usage_ends_with_2(world: World) -> None:
    """An unknown command or option is a usage error."""
    run(world, "frobnicate", status=2)
    run(world, "check", "--frobnicate", status=2)


def test_a_daemon_without_agents_runs(world: World) -> None:
    """It says so, and serves nobody."""
    argv = [sys.executable, "-m", "airlock_daemon", "--config", str(world.config), "start"]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines: list[str] = []
    while "no agents registered" not in "".join(lines):
        line = process.stderr.readline()
        assert line, lines
        lines.append(line)
    process.terminate()
    assert process.wait(30) == 0
    process.stderr.close()
    assert "airlock: enabled commands: sh, git\n" in lines
