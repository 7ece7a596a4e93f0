"""`airlock-shim --install DIR NAME...`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fake_daemons import FakeDaemon


def _install(shim: Path | str, *arguments: str | Path, cwd: Path | None = None) -> tuple[int, str]:
    ended = subprocess.run(
        [shim, "--install", *arguments], capture_output=True, check=False, cwd=cwd, text=True
    )
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


_CHOOSE = "airlock: hint: choose a directory in which this user can make links\n"


def test_links_are_made(shim: Path, folder: Path) -> None:
    """Each name is a link to the shim; missing directories are made."""
    bin_folder = folder / "new" / "bin"
    assert _install(shim, bin_folder, "git", "aws") == (0, "")
    assert sorted(path.name for path in bin_folder.iterdir()) == ["aws", "git"]
    for name in ("git", "aws"):
        assert os.readlink(bin_folder / name) == str(shim)


def test_installing_again_changes_nothing(shim: Path, folder: Path) -> None:
    """What is there already is no problem, also when more is asked for."""
    assert _install(shim, folder, "git") == (0, "")
    assert _install(shim, f"{folder}//", "git", "aws") == (0, "")
    assert (folder / "aws").is_symlink()


def test_links_beside_the_shim_are_relative(shim: Path, folder: Path) -> None:
    """A directory with the shim and its links can be mounted anywhere."""
    own = folder / "airlock-shim"
    shutil.copy(shim, own)
    assert _install(own, folder, "git") == (0, "")
    assert os.readlink(folder / "git") == "airlock-shim"
    assert _install("./airlock-shim", ".", "aws", cwd=folder) == (0, "")
    assert os.readlink(folder / "aws") == "airlock-shim"


def test_what_is_something_else_stays(shim: Path, folder: Path) -> None:
    """Files, directories and links to elsewhere are kept; each is reported, the rest is done."""
    (folder / "git").write_text("the real one")
    (folder / "aws").symlink_to("/bin/true")
    (folder / "ssh").symlink_to("nowhere")
    (folder / "docker").mkdir()
    status, said = _install(shim, folder, "git", "aws", "ssh", "docker", "gh")
    assert status == 1
    for name in ("git", "aws", "ssh", "docker"):
        assert f"airlock: {folder}/{name} is there already and is no link to this shim\n" in said
    assert said.count("hint: remove it, or choose a directory that comes earlier in PATH\n") == 4
    assert (folder / "git").read_text() == "the real one"
    assert os.readlink(folder / "gh") == str(shim)


@pytest.mark.parametrize("name", ["", "a/b", "../git", "-x", ".git", "airlock-shim", "é", "x" * 65])
def test_impossible_names_are_refused(shim: Path, folder: Path, name: str) -> None:
    """A name that no command can have is wrong usage, and nothing is made."""
    status, said = _install(shim, folder, "git", name)
    assert status == 2
    assert said.startswith('airlock: no command can be called "')
    assert "\nairlock: hint: a name has letters, digits, " in said
    assert not any(folder.iterdir())


def test_directory_that_cannot_be_made_is_told(shim: Path, folder: Path) -> None:
    """The reason is the first obstacle's."""
    (folder / "file").write_text("")
    status, said = _install(shim, folder / "file" / "bin", "git")
    assert status == 1
    assert said == (
        f"airlock: cannot make {folder}/file/bin: a part of the path is not a directory\n{_CHOOSE}"
    )
    status, said = _install(shim, folder / "file", "git")
    assert status == 1
    status, said = _install(shim, "/proc/none/bin", "git")
    assert status == 1
    assert said == f"airlock: cannot make /proc/none/bin: no such file or directory\n{_CHOOSE}"


def test_link_that_cannot_be_made_is_told(
    shim: Path, folder: Path, unprivileged: list[str]
) -> None:
    """A directory that is not writable gives the kernel's reason."""
    copy = folder / "airlock-shim"
    shutil.copy(shim, copy)
    target = folder / "bin"
    target.mkdir()
    ended = subprocess.run(
        [*unprivileged, copy, "--install", target, "git"],
        capture_output=True,
        check=False,
        text=True,
    )
    assert ended.returncode == 1
    assert ended.stderr == f"airlock: cannot make {target}/git: permission denied\n{_CHOOSE}"


@pytest.mark.parametrize("call", ["/airlock-shim", "./airlock-shim"])
def test_it_works_without_proc(shim: Path, folder: Path, unshare: list[str], call: str) -> None:
    """In an image with nothing but the shim, its path is the one that it was called by."""
    shutil.copy(shim, folder / "airlock-shim")
    # It lies where the PATH of an ordinary user does not lead.
    chroot = shutil.which("chroot", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert chroot is not None
    ended = subprocess.run(
        [*unshare, chroot, folder, call, "--install", "/bin", "git"],
        capture_output=True,
        check=False,
        text=True,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert os.readlink(folder / "bin" / "git") == "/airlock-shim"


def test_it_says_that_it_cannot_find_itself(shim: Path, folder: Path, unshare: list[str]) -> None:
    """Executed by a descriptor, in an image without /proc, it has no path that leads to it."""
    code = (
        "import os, sys; shim = os.open(sys.argv[1], os.O_RDONLY); os.chroot(sys.argv[2]); "
        "os.chdir('/'); os.execve(shim, ['airlock-shim', '--install', '/bin', 'git'], {})"
    )
    ended = subprocess.run(
        [*unshare, sys.executable, "-c", code, shim, folder],
        capture_output=True,
        check=False,
        text=True,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "airlock: cannot tell where this program is\n"
        "airlock: hint: mount /proc, or call the shim by its full path\n"
    )
    assert not any(folder.iterdir())


def test_installed_link_runs_the_command(shim: Path, daemon: FakeDaemon) -> None:
    """The link is what it stands for."""
    assert _install(shim, daemon.folder / "bin", "terraform") == (0, "")
    assert daemon.request("plan", command="terraform")["params"]["command"] == "terraform"
