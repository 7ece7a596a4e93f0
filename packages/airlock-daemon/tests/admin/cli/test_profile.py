"""`airlock profile`."""

import json
import os
import pty
import subprocess
import sys
import tomllib

from commanding import run
from worlds import World


def test_profiles_are_listed_by_lines_with_tabs(world: World) -> None:
    """Name, socket and directory of each agent, without headings."""
    assert run(world, "profile", "list").stdout == f"my\t{world.socket}\t{world.agent}\n"
    (row,) = json.loads(run(world, "profile", "list", "--json").stdout)
    assert row == {
        "name": "my",
        "socket": world.socket,
        "path": str(world.agent),
        "https_socket": None,
        "docker_socket": None,
    }


def test_profiles_are_a_table_on_a_terminal(world: World) -> None:
    """With headings, aligned."""
    ours, theirs = pty.openpty()
    options = ["--config", str(world.config), "--agents", str(world.agents_file)]
    argv = [sys.executable, "-m", "airlock_daemon", *options, "profile", "list"]
    subprocess.run(argv, stdout=theirs, check=True, timeout=60)
    os.close(theirs)
    with open(ours, "rb") as terminal:
        headings, row = terminal.read1().decode().splitlines()
    assert headings.split() == ["NAME", "SOCKET", "PATH"]
    assert row.split() == ["my", world.socket, str(world.agent)]
    assert headings.index("PATH") == row.index(str(world.agent))


def test_a_profile_is_shown_as_it_is_and_then_what_it_grants(world: World) -> None:
    """The text of the file, then every value in comments, so that all of it is valid TOML."""
    world.write_profile('# mine\n[workspace]\nhost = true\n[env]\nset = { A = "x\\ny" }\n')
    text = (world.agent / "airlock.toml").read_text()
    shown = run(world, "profile", "show", "my").stdout
    assert shown.startswith(text + "\n# What it grants")
    assert tomllib.loads(shown) == tomllib.loads(text)
    assert "# commands: sh, git, git-remote\n" in shown
    assert "# host: yes\n" in shown
    assert "# overrides: sh\n" in shown
    run(world, "profile", "show", "other", status=1)


def test_programs_are_told_the_profile_and_what_it_grants(world: World) -> None:
    """With --json the text is a field, and modules of the host stand apart from its own."""
    world.write_shared_module("git", "git")
    shown = json.loads(run(world, "--json", "profile", "show", "my").stdout)
    assert shown["toml"] == (world.agent / "airlock.toml").read_text()
    assert shown["commands"] == ["sh", "git", "git-remote"]
    assert shown["host"] is True
    assert (shown["overrides"], shown["shared"]) == (["sh"], ["git"])


def test_what_a_profile_refuses_besides_is_shown(world: World) -> None:
    """By command, and `test` says that it was the profile."""
    world.write_profile('[deny]\ngit = ["commit & --amend", "gc"]\n')
    assert "# deny: git = commit & --amend, gc\n" in run(world, "profile", "show", "my").stdout
    said = run(world, "test", "my", "git", "commit", "--amend", status=1).stdout
    assert (
        'profile: refused: with "commit", "--amend": the profile of this agent has the rule' in said
    )
    report = json.loads(run(world, "test", "--json", "my", "git", "gc", status=1).stdout)
    assert (report["decision"]["layer"], report["decision"]["rule"]) == ("profile", "gc")
