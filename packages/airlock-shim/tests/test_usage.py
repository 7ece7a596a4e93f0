"""The shim called by its own name."""

import shutil
import subprocess
from pathlib import Path

import pytest

import airlock_shim


def _call(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, check=False, text=True)


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_usage_explains_itself(shim: Path, arguments: list[str]) -> None:
    """It says what it is, its version, how to install it, where it looks and how it ends."""
    ended = _call(shim, *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    for word in (
        airlock_shim.__version__,
        "--install",
        "--exec",
        "AIRLOCK_SOCKET",
        "/run/airlock",
        "126",
    ):
        assert word in ended.stdout


def test_released_file_knows_its_name(shim: Path, folder: Path) -> None:
    """A raw binary that has the platform in its name is not taken for a tool."""
    copy = folder / "airlock-shim-linux-x86_64"
    shutil.copy(shim, copy)
    assert _call(copy, "--version").stdout == f"airlock-shim {airlock_shim.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["git"], "cannot make sense of: git"),
        (["--instal"], "cannot make sense of: --instal"),
        (["--version", "x"], "cannot make sense of: --version"),
        (["--help", "x"], "cannot make sense of: --help"),
        (["--install-git", "x"], "cannot make sense of: --install-git"),
        (["--uninstall-git", "x"], "cannot make sense of: --uninstall-git"),
        (["--install"], "--install needs a directory and at least one name"),
        (["--install", "/tmp"], "--install needs a directory and at least one name"),
        (["--exec"], "--exec needs a command"),
        (["--bridge"], "cannot make sense of: --bridge"),
        (["--connect", "0"], "cannot make sense of: --connect"),
        (["--connect", "65536"], "cannot make sense of: --connect"),
        (["--install", "", "git"], "--install needs a directory and at least one name"),
    ],
)
def test_wrong_usage_is_told(shim: Path, arguments: list[str], problem: str) -> None:
    """What makes no sense is wrong usage, and the help is named."""
    ended = _call(shim, *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"airlock: {problem}\nairlock: hint: airlock-shim --help\n"


def test_it_needs_no_name(shim: Path) -> None:
    """Executed with an empty argv[0] it does not take that for a tool."""
    # With a directory to change to, subprocess does not use posix_spawn, which refuses that name.
    ended = subprocess.run(
        [""], executable=shim, cwd="/", capture_output=True, check=False, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "--install" in ended.stdout


@pytest.mark.parametrize("name", ["ssh", "git-ssh"])
def test_an_ssh_that_is_asked_for_its_settings_prints_none(
    shim: Path, folder: Path, name: str
) -> None:
    """No daemon is asked, and the status says that options are OpenSSH's."""
    link = folder / name
    link.symlink_to(shim)
    ended = _call(link, "-G", "-p", "2222", "host")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr == (
        "airlock: ssh -G shows nothing here: its settings are those of the host\n"
    )


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_finds_out_by_itself_that_it_may_give_a_port(shim: Path, folder: Path) -> None:
    """Without `ssh.variant`, as under pre-commit; the shim then says that it has no daemon."""
    link = folder / "git-ssh"
    link.symlink_to(shim)
    socket = f"AIRLOCK_SOCKET={folder}/none"
    words = ("-c", f"core.sshCommand={link}", "ls-remote", "ssh://me@host:2222/x")
    ended = _call("env", "-u", "GIT_SSH_VARIANT", "-u", "GIT_SSH_COMMAND", socket, "git", *words)
    assert "does not support setting port" not in ended.stderr
    assert "airlock: cannot reach the daemon" in ended.stderr
