"""Tests of `airlock shim`: the shim found, and copied to where an image is built."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import airlock_shim
from airlock_daemon.admin.cli.agent import find_lasting_shim
from commanding import airlock_daemon
from worlds import World

MISSING = """
import sys
sys.modules["airlock_shim"] = None
from airlock_daemon.admin.cli import main
main()
"""


def test_it_says_where_the_shim_of_each_processor_is() -> None:
    """By the processor's name, or by that which container engines have for it."""
    own = airlock_daemon("shim", "--print-path").stdout
    assert own == f"{airlock_shim.binary_path().resolve()}\n"
    for arch in ("aarch64", "arm64"):
        said = airlock_daemon("shim", "--print-path", "--arch", arch, "--json").stdout
        expected = str(airlock_shim.binary_for("aarch64").resolve())
        assert json.loads(said) == {"shim": expected, "copied_to": None}


def test_none_is_taken_from_where_an_agent_writes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as the virtual environment of a workspace."""
    world.write_profile(f'[workspace]\nsame_path = ["{world.workspace}"]\n')
    program = world.workspace / "airlock-shim"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{world.workspace}:{os.environ['PATH']}")
    options = ("--config", str(world.config), "--agents", str(world.agents_file))
    words = ("shim", *options, "--print-path")
    done = airlock_daemon(*words, before=("-c", MISSING), status=1)
    assert done.stdout == ""
    assert "there is no shim for" in done.stderr


def test_it_copies_the_shim_which_runs_there(tmp_path: Path) -> None:
    """Into a directory under its own name, and over an earlier copy, also one that is running."""
    copy = tmp_path / "airlock-shim"
    assert airlock_daemon("shim", str(tmp_path)).stdout == f"copied the shim to {copy}\n"
    inode = copy.stat().st_ino
    airlock_daemon("shim", str(copy))
    assert copy.stat().st_ino != inode
    assert copy.stat().st_mode & 0o777 == 0o755
    assert subprocess.check_output([copy, "--version"]).startswith(b"airlock-shim ")
    assert os.listdir(tmp_path) == ["airlock-shim"]


@pytest.mark.parametrize("kind", ["text", "program", "link", "fifo"])
def test_what_is_no_shim_is_never_overwritten(kind: str, tmp_path: Path) -> None:
    """Neither is a link to one, as what it leads to may be somebody else's."""
    path = tmp_path / "tool"
    if kind == "text":
        path.write_text("about /run/docker-airlock.sock")
    elif kind == "program":
        path.write_bytes(Path("/bin/true").read_bytes())
    elif kind == "link":
        path.symlink_to(airlock_shim.binary_path())
    else:
        os.mkfifo(path)
    before = path.lstat()
    said = airlock_daemon("shim", str(path), status=1).stderr
    assert f"airlock: {path} is there already, and is no copy of the shim\n" in said
    assert path.lstat().st_ino == before.st_ino


def test_what_cannot_be_done_is_said_with_a_remedy(tmp_path: Path) -> None:
    """An unknown processor, no such directory, and neither or both of path and option."""
    said = airlock_daemon("shim", "--print-path", "--arch", "riscv64", status=1).stderr
    assert (
        "airlock: there is no shim for the processor riscv64\nairlock: hint: there is one" in said
    )
    said = airlock_daemon("shim", str(tmp_path / "none" / "shim"), status=1).stderr
    assert "No such file or directory\nairlock: hint: name a file in a directory" in said
    for words in ((), ("--print-path", "x")):
        assert "name either a PATH" in airlock_daemon("shim", *words, status=2).stderr


def test_without_the_package_the_shim_on_path_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is for this machine's processor; where there is none, it is said how to have one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    elsewhere = ("-c", MISSING)
    said = airlock_daemon("shim", "--print-path", status=1, before=elsewhere).stderr
    assert "hint: install it beside the daemon: pip install 'airlock-daemon[run]'\n" in said
    shim = tmp_path / "real"
    shim.write_bytes(airlock_shim.binary_path().read_bytes())
    shim.chmod(0o755)
    (tmp_path / "airlock-shim").symlink_to(shim)
    assert airlock_daemon("shim", "--print-path", before=elsewhere).stdout == f"{shim}\n"
    other = "aarch64" if os.uname().machine == "x86_64" else "x86_64"
    words = ("shim", "--print-path", "--arch", other)
    assert f"no shim for {other} on" in airlock_daemon(*words, status=1, before=elsewhere).stderr


def test_what_is_written_down_names_the_link_beside_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link stays where it is when an upgrade puts the shim elsewhere; else the shim itself."""
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "airlock-daemon")])
    (tmp_path / "airlock-daemon").symlink_to("/bin/true")
    assert find_lasting_shim() == str(airlock_shim.binary_path().resolve())
    (tmp_path / "airlock-shim").symlink_to(airlock_shim.binary_path())
    assert find_lasting_shim() == str(tmp_path / "airlock-shim")
