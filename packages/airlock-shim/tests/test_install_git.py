"""`airlock-shim --install-git` and `--uninstall-git`, with the git of this machine."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

GIT = shutil.which("git")

pytestmark = pytest.mark.skipif(GIT is None, reason="there is no git on PATH")


class Image:
    """A shim in `folder`, and a system configuration of git there."""

    def __init__(self, folder: Path, shim: Path) -> None:
        self.folder = folder
        self.configuration = folder / "gitconfig"
        self.shim = folder / "airlock-shim"
        self.link = folder / "git-ssh"
        self.path = os.environ["PATH"]
        shutil.copy(shim, self.shim)

    def call(self, option: str, *before: str | Path) -> tuple[int, str, str]:
        """Call the shim with `option`; `before` are words that come before it."""
        ended = self._run(*before, self.shim, option)
        return ended.returncode, ended.stdout, ended.stderr

    def git(self, *words: str) -> str:
        """What git says of its system configuration."""
        return self._run(GIT or "git", "config", "--system", *words).stdout

    def _run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": self.path, "GIT_CONFIG_SYSTEM": str(self.configuration)}
        return subprocess.run(words, capture_output=True, check=False, text=True, env=environment)


@pytest.fixture
def image(folder: Path, shim: Path) -> Image:
    """Nothing is installed yet."""
    return Image(folder, shim)


def test_git_is_given_its_ssh_and_loses_it_again(image: Image) -> None:
    """Each change is said in a line; what was set besides stays."""
    image.git("user.name", "Ada")
    before = image.configuration.read_text()
    assert image.call("--install-git") == (
        0,
        (
            f"made the link {image.link}\n"
            f"set core.sshCommand to {image.link} in git's system configuration\n"
            "set ssh.variant to ssh in git's system configuration\n"
        ),
        "",
    )
    assert os.readlink(image.link) == "airlock-shim"
    assert image.git("core.sshCommand") == f"{image.link}\n"
    assert image.git("ssh.variant") == "ssh\n"
    nothing = f"nothing to change: git's ssh is {image.link}\n"
    assert image.call("--install-git") == (0, nothing, "")
    assert image.call("--uninstall-git") == (
        0,
        (
            "unset core.sshCommand in git's system configuration\n"
            "unset ssh.variant in git's system configuration\n"
            f"removed the link {image.link}\n"
        ),
        "",
    )
    assert not image.link.is_symlink()
    assert image.configuration.read_text() == before
    assert image.call("--uninstall-git") == (0, "nothing to undo\n", "")


def test_what_is_half_done_is_completed(image: Image) -> None:
    """Only what is missing is made."""
    image.call("--install-git")
    image.git("--unset", "ssh.variant")
    said = "set ssh.variant to ssh in git's system configuration\n"
    assert image.call("--install-git") == (0, said, "")


@pytest.mark.parametrize(
    ("name", "values"),
    [("core.sshCommand", ["ssh -v"]), ("ssh.variant", ["plink"]), ("ssh.variant", ["ssh", "ssh"])],
)
def test_another_setting_stays(image: Image, name: str, values: list[str]) -> None:
    """Nothing is changed then; and what was changed since is not undone."""
    for value in values:
        image.git("--add", name, value)
    status, said, complaint = image.call("--install-git")
    assert (status, said) == (1, "")
    assert f"airlock: git's system configuration has another {name}: {values[0]}\n" in complaint
    assert not image.link.is_symlink()
    status, said, complaint = image.call("--uninstall-git")
    assert (status, said) == (0, "nothing to undo\n")
    assert f"not from --install-git, and so it stays: {name} = {values[0]}\n" in complaint
    assert image.git("--get-all", name).splitlines() == values


def test_the_variant_of_another_command_stays(image: Image) -> None:
    """It belongs to the command that was set in the meantime."""
    image.call("--install-git")
    image.git("core.sshCommand", "ssh -v")
    status, said, complaint = image.call("--uninstall-git")
    assert (status, said) == (0, f"removed the link {image.link}\n")
    assert complaint.count("and so it stays: ") == 2
    assert image.git("ssh.variant") == "ssh\n"


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        (None, "there is no git on PATH"),
        ("echo git version 2.29.3", "git is no git of version 2.30 or newer"),
        ("echo git version 2.47.3; exit 1", "git is no git of version 2.30 or newer"),
        ("kill -9 $$", "git is no git of version 2.30 or newer"),
    ],
)
def test_a_git_that_will_not_do_is_refused(
    image: Image, script: str | None, complaint: str
) -> None:
    """Only directories of PATH that are absolute count."""
    programs = image.folder / "bin"
    programs.mkdir()
    if script is not None:
        (programs / "git").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "git").chmod(0o755)
    image.path = f".::{programs}:/nonexistent"
    status, said, told = image.call("--install-git")
    assert (status, said) == (1, "")
    assert f"{complaint}\nairlock: hint: " in told
    assert not image.link.is_symlink()


@pytest.mark.parametrize("option", ["--install-git", "--uninstall-git"])
def test_the_shim_is_not_taken_for_git(image: Image, option: str) -> None:
    """Under the name of git it would ask the daemon to change the host's configuration."""
    (image.folder / "git").symlink_to("airlock-shim")
    image.path = f"{image.folder}:{image.path}"
    status, _, told = image.call(option)
    assert status == 1
    assert told.startswith(f"airlock: {image.folder}/git is this shim, and no git\n")


def test_a_path_that_a_shell_would_change_is_refused(image: Image, shim: Path) -> None:
    """git gives such a command to a shell, which the image may not have."""
    odd = image.folder / "a b"
    odd.mkdir()
    image.shim = Path(shutil.copy(shim, odd / "airlock-shim"))
    status, _, told = image.call("--install-git")
    assert status == 1
    assert f"git would have a shell read the path {odd}/git-ssh\n" in told


def test_another_file_of_the_links_name_stays(image: Image) -> None:
    """It is reported, and git is not told of it."""
    image.link.write_text("mine")
    status, _, told = image.call("--install-git")
    assert status == 1
    assert f"airlock: {image.link} is there and no link to this shim\n" in told
    assert image.git("--list") == ""
    image.call("--uninstall-git")
    assert image.link.read_text() == "mine"


def test_what_cannot_be_written_leaves_nothing_behind(image: Image) -> None:
    """git says why, and the link is gone again."""
    image.configuration = image.folder / "missing" / "gitconfig"
    status, said, told = image.call("--install-git")
    assert (status, said) == (1, "")
    assert "No such file or directory" in told
    assert f"airlock: {GIT} cannot read or write its system configuration\n" in told
    assert not image.link.is_symlink()


def test_a_link_that_cannot_be_made_is_told(image: Image, unprivileged: list[str]) -> None:
    """It stands beside the shim, where not everybody may write."""
    status, _, told = image.call("--install-git", *unprivileged)
    assert status == 1
    assert told.startswith(f"airlock: cannot make {image.link}: permission denied\n")
    assert not image.configuration.exists()
