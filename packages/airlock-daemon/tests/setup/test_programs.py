"""Tests of `airlock_daemon.setup.trust`: where a tool is taken from, and where it never is."""

import os
from pathlib import Path

import pytest

from airlock_daemon.setup.trust import Programs
from airlock_modules import Fault
from running import Daemon
from worlds import World


def put(path: Path, says: str) -> None:
    """Write a program that says something."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)


def clean(*entries: object, workspace: object = "/nowhere") -> tuple[str, list[str]]:
    """Return what is left of a PATH, and what is told of the rest."""
    warnings: list[Fault] = []
    path = Programs.of(
        os.pathsep.join(map(str, entries)), workspaces=[str(workspace)], warnings=warnings
    ).path
    return path, [str(warning) for warning in warnings]


def test_entries_of_root_and_of_the_user_stay(tmp_path: Path) -> None:
    """In their order, each once, and also where there is nothing yet."""
    mine = tmp_path / "bin"
    assert clean(mine, "/usr/bin", "/bin", mine) == (f"{mine}:/usr/bin:/bin", [])


@pytest.mark.parametrize("entry", ["bin", ".", ""])
def test_relative_entries_are_left_out(entry: str) -> None:
    """They would be searched from the workspace."""
    path, (warning,) = clean(entry, "/bin")
    assert path == "/bin"
    assert f'"{entry}" is left out' in warning


def test_entries_in_a_workspace_are_left_out(tmp_path: Path) -> None:
    """As that of an activated virtual environment is, by whichever way it leads there."""
    (tmp_path / "app" / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "link").symlink_to("app/venv")
    for entry in (tmp_path / "app" / "venv" / "bin", tmp_path / "link" / "bin"):
        path, (warning,) = clean(entry, "/bin", workspace=tmp_path / "app")
        assert path == "/bin"
        assert "lies in a workspace" in warning
    assert clean(tmp_path / "application", workspace=tmp_path / "app")[1] == []


def test_entries_that_a_link_of_a_workspace_leads_to_are_left_out(tmp_path: Path) -> None:
    """An agent can let it lead elsewhere."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "bin").symlink_to("/bin")
    assert clean(tmp_path / "app" / "bin", "/bin", workspace=tmp_path / "app")[0] == "/bin"


def test_entries_with_a_symlink_into_a_workspace_are_left_out(tmp_path: Path) -> None:
    """Its program is one of the agent, by whichever way it leads there."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "out").symlink_to("/bin/true")
    (tmp_path / "link").symlink_to("app")
    for number, target in enumerate(("app/git", "app/out", "link/git", "app/missing/git")):
        entry = tmp_path / f"bin-{number}"
        entry.mkdir()
        (entry / "git").symlink_to(tmp_path / target)
        path, (warning,) = clean(entry, "/bin", workspace=tmp_path / "app")
        assert path == "/bin"
        assert f"{entry}/git leads into a workspace ({tmp_path}/app)" in warning
        assert clean(entry, workspace=tmp_path / "other") == (str(entry), [])


def test_entries_that_others_write_are_left_out(tmp_path: Path) -> None:
    """Whether it is the directory itself or one above it."""
    loose = tmp_path / "loose"
    (loose / "bin").mkdir(parents=True)
    loose.chmod(0o777)
    path, (warning,) = clean(loose / "bin", "/bin")
    assert path == "/bin"
    assert f"{loose} is writable for everybody" in warning


def test_a_tool_is_not_taken_from_the_workspace(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that the agent put into a directory of the PATH is passed over, which is told."""
    put(world.workspace / "venv" / "bin" / "tool", "of-the-agent")
    put(world.root / "bin" / "tool", "of-the-host")
    monkeypatch.setenv("PATH", f"{world.workspace}/venv/bin:{world.root}/bin:{os.defpath}")
    world.write_config()
    (world.config / "config.toml").write_text(
        f'[commands]\nenable = ["sh", "tool"]\n[log]\npath = "{world.log}"\n'
    )
    world.write_profile(
        f'[workspace]\nhost = true\nmounts = {{ "/workspace" = "{world.workspace}" }}\n'
    )
    world.write_module("tool", "tool")
    with Daemon(world) as daemon:
        assert daemon.ask("tool").text() == "of-the-host\n"
        assert f'"{world.workspace}/venv/bin" is left out' in daemon.messages()
        # Nor does a tool find another one there.
        assert daemon.shell("tool").text() == "of-the-host\n"


def test_a_workspace_with_a_directory_of_the_path_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody could know of it before: of a host's process, or by a container's own mounts."""
    (world.workspace / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{world.workspace}/bin:{os.defpath}")
    with Daemon(world) as daemon:
        error = daemon.shell("true").error
        assert (error["data"]["layer"], error["data"]["rule"]) == ("workspace", "reserved")
        assert "of the daemon's PATH" in error["message"]


def test_programs_are_remembered_while_they_are_there(tmp_path: Path) -> None:
    """One that is gone is searched anew."""
    for name in ("first", "second"):
        put(tmp_path / name / "tool", name)
    programs = Programs(f"{tmp_path}/first:{tmp_path}/second")
    assert programs.find("tool") == str(tmp_path / "first" / "tool")
    (tmp_path / "first" / "tool").unlink()
    assert programs.find("tool") == str(tmp_path / "second" / "tool")
    assert Programs(programs.path).find("../tool") is None
