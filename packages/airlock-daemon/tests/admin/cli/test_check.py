"""`airlock check`."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from boxing import CLOSED, needs_bubblewrap
from commanding import airlock_daemon, run
from worlds import UNSAID, World


def report(world: World, status: int = 1) -> dict[str, Any]:
    """What `check --json` tells."""
    told: dict[str, Any] = json.loads(run(world, "check", "--json", status=status).stdout)
    return told


@needs_bubblewrap
def test_check_is_quiet_about_what_is_good(world: World) -> None:
    """A good configuration is one line and status 0."""
    world.write_profile(commands='["sh"]')
    world.write_module("sh", "/bin/sh", CLOSED)
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
    assert len(report(world)["faults"]) == 2


def test_bad_toml_is_told_with_its_line(world: World) -> None:
    """A file that is no TOML at all names the line."""
    (world.agent / "airlock.toml").write_text("commands = []\n= 1\n")
    assert "line 2" in run(world, "check", status=1).stdout


def test_check_finds_rules_without_effect(world: World) -> None:
    """One that another one makes needless, and a flag nobody knows."""
    rules = '["-4", "-4 & -6", "-z"]'
    world.write_module("git", "git", f'[syntax]\noptions = "ssh"\n[deny]\nargs = {rules}\n')
    findings = report(world)["findings"]
    told = {finding["problem"].split('"')[1] for finding in findings}
    assert told == {"-4 & -6", "-z"}
    assert {finding["key"] for finding in findings} == {"deny.args"}


def test_what_an_override_of_a_built_in_gives_up_is_noted(world: World) -> None:
    """Which does no harm if it is meant: the status is that of a good configuration."""
    world.write_module("git", "git", '[deny]\nargs = ["push & --force"]\n')
    said = run(world, "check").stdout
    assert re.search(r"^good, with \d+ notes; agents: my$", said, re.MULTILINE)
    assert "the built-in git strips 4 variables, this override has none of them\n" in said
    assert "add what it should keep (GIT_EXEC_PATH, " in said
    assert {note["key"] for note in report(world, status=0)["notes"]} >= {"env.strip", "syntax"}


def test_what_a_module_of_the_host_gives_up_is_noted(world: World) -> None:
    """As of one in an agent's commands/."""
    world.write_profile(commands='["sh", "git"]')
    world.write_shared_module("git", "git")
    notes = report(world, status=0)["notes"]
    sources = {note["source"] for note in notes if note["name"] == "override"}
    assert sources == {str(world.config / "modules" / "git.toml")}


def test_after_a_finding_a_reload_is_named(world: World) -> None:
    """Who mends a file would else wonder why the running daemon decides as before."""
    world.write_module("Git", "git")
    assert run(world, "check", status=1).stdout.endswith("then: airlock reload\n")


def test_each_fault_has_the_name_of_what_was_looked_at(world: World) -> None:
    """One that --list tells; it stands in front of its line, too."""
    (world.agent / "hooks").mkdir()
    (world.agent / "hooks" / "pre-exec").touch()
    world.write_module("git", "nowhere")
    world.write_module("Git", "git")
    world.write_module("sh", "/bin/sh", f"[deny]\nargs = []\n{UNSAID}")
    world.write_profile('[deny]\nterraform = ["apply"]\n[network]\nallow = ["@vscode"]\n')
    world.write_config('[daemon]\nsocket = "x"\npath = "/nowhere:/tmp"\n')
    told = report(world)
    names = {each["name"] for kind in ("faults", "findings", "notes") for each in told[kind]}
    (world.agent / "airlock.toml").write_text("= 1\n")
    (world.config / "sockets").write_text("")
    (world.config / "modules").mkdir()
    (world.config / "modules").chmod(0o777)
    world.agents_file.write_text("[my]\n")
    world.write_config("[commands]\nenable = 1\n")
    names |= {each["name"] for each in report(world)["faults"]}
    listed = json.loads(run(world, "check", "--list", "--json").stdout)
    assert names == {*listed} - {"workspace", "built-in", "layout"}
    assert [line.split()[0] for line in run(world, "check", "--list").stdout.splitlines()] == [
        *listed
    ]
    assert "\nfault: ownership: " in run(world, "check", status=1).stdout


def test_a_finding_is_a_short_line_and_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of files where `init` and `agent add` make them, for what an everyday agent may have."""
    monkeypatch.setenv("HOME", str(tmp_path))
    commands = [f"--command={name}" for name in ("git", "git-remote", "ssh", "aws", "docker")]
    airlock_daemon("agent", "add", "tools", "--yes", *commands)
    agent = tmp_path / ".config/airlock/agents/tools"
    text = (agent / "airlock.toml").read_text()
    text = text.replace("[env]\n", '[env]\nset = { GITHUB_TOKEN = "x", GIT_DIR = "y" }\n')
    text = text.replace("[deny]\n", '[deny]\ngit = ["push & --tags"]\n')
    (agent / "airlock.toml").write_text(text)
    (agent / "commands").mkdir()
    for name in ("git", "ssh", "aws", "Git", "psql"):
        (agent / "commands" / f"{name}.toml").write_text(
            f'[command]\nbin = "{name}"\n[deny]\nargs = []\n'
        )
    lines = airlock_daemon("check", status=1).stdout.splitlines()
    told = [line for line in lines[:-1] if not line.startswith("    ")]
    assert len(told) > 10
    assert len(set(told)) == len(told)
    assert {line.partition(": ")[0] for line in told} == {"finding", "note"}
    assert [line for line in told if len(line) > 120] == []
    assert all(lines[n + 1].startswith("    ") for n, line in enumerate(lines) if line in told)


def test_what_is_so_in_several_files_is_told_once(world: World) -> None:
    """With the others behind the remedy; programs are told each."""
    world.write_profile(commands='["sh", "git"]')
    other = world.root / "agents" / "other"
    shutil.copytree(world.agent, other)
    with world.agents_file.open("a") as file:
        file.write(f'[other]\npath = "{other}"\n')
    said = run(world, "check").stdout
    assert said.count("git and its hooks run on this host") == 1
    assert f"\n    also in {other}/airlock.toml\n" in said
    notes = report(world, status=0)["notes"]
    assert [each["source"] for each in notes if "git and its hooks" in each["problem"]] == [
        f"{world.agent}/airlock.toml", f"{other}/airlock.toml",
    ]  # fmt: skip


def test_a_long_path_stands_with_the_remedy(world: World) -> None:
    """So that what is wrong can be read."""
    long = world.root / ("x" * 100)
    shutil.copytree(world.agent, long)
    world.agents_file.write_text(f'[my]\npath = "{long}"\n')
    (long / "commands").mkdir(exist_ok=True)
    (long / "commands" / "Git.toml").write_text('[command]\nbin = "git"\n[deny]\nargs = []\n')
    said = run(world, "check", status=1).stdout
    assert 'finding: module: nothing uses it: "Git" is not enabled in config.toml\n' in said
    assert f"\n    {long}/commands/Git.toml: rename it to git.toml\n" in said


def test_a_profile_that_accepts_an_engines_socket_is_noted(world: World) -> None:
    """Its container can be root on the host, which may be meant."""
    world.write_profile("[workspace]\nengine_socket = true\n")
    said = run(world, "check").stdout
    assert "note: workspace: " in said
    assert "engine_socket" in said
    assert "be root on this host" in said
