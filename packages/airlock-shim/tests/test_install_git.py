"""`airlock-shim --install-git` and `--uninstall-git`, with the git of this machine."""

import os
import shutil
from pathlib import Path

import pytest

from git_image import GIT, Image

pytestmark = pytest.mark.skipif(GIT is None, reason="there is no git on PATH")


HELPERS = ("git-remote-https", "git-remote-http")
# Settings of git-lfs beside the path of its agent.
LFS = (
    ("lfs.standalonetransferagent", "airlock"),
    ("lfs.file:///.standalonetransferagent", "lfs-standalone-file"),
    ("lfs.sshtransfer", "never"),
    ("lfs.locksverify", "false"),
)


# What signs, by the link git-sign.
SIGNING = ("gpg.ssh.program", "gpg.ssh.defaultKeyCommand")


@pytest.fixture
def image(folder: Path, shim: Path) -> Image:
    """Nothing is installed yet."""
    image = Image(folder, shim)
    image.lay_out()
    return image


def test_git_is_given_its_transports_and_loses_them_again(image: Image) -> None:
    """Each change is said in a line; what was there besides stays, and what gave way comes back."""
    image.git("user.name", "Ada")
    before = (image.configuration.read_text(), image.look())
    agent, signer = (image.link.with_name(name) for name in ("git-lfs-agent", "git-sign"))
    https, http = (image.exec_path / name for name in HELPERS)
    kept = [image.exec_path / f".before-airlock.{name}" for name in HELPERS]
    assert image.call("--install-git") == (
        0,
        (
            f"made the link {image.link}\n"
            f"made the link {agent}\n"
            f"made the link {signer}\n"
            f"made the link {https} and kept what was there as {kept[0]}\n"
            f"made the link {http} and kept what was there as {kept[1]}\n"
            f"set core.sshCommand to {image.link} in git's system configuration\n"
            "set ssh.variant to ssh in git's system configuration\n"
            f"set lfs.customtransfer.airlock.path to {agent} in git's system configuration\n"
            + "".join(
                f"set {name} to {value} in git's system configuration\n"
                for name, value in (*LFS, *((name, signer) for name in SIGNING))
            )
        ),
        "",
    )
    assert os.readlink(image.link) == "airlock-shim"
    assert [os.readlink(path) for path in (https, http)] == [str(image.shim)] * 2
    assert (os.readlink(kept[0]), kept[1].read_text()) == ("git-remote-http", "curl")
    assert image.git("core.sshCommand") == f"{image.link}\n"
    assert image.git("ssh.variant") == "ssh\n"
    nothing = f"nothing to change: git reaches its remotes by {image.shim}\n"
    assert image.call("--install-git") == (0, nothing, "")
    assert image.call("--uninstall-git") == (
        0,
        (
            "unset core.sshCommand in git's system configuration\n"
            "unset ssh.variant in git's system configuration\n"
            "unset lfs.customtransfer.airlock.path in git's system configuration\n"
            + "".join(f"unset {name} in git's system configuration\n" for name, _ in LFS)
            + "".join(f"unset {name} in git's system configuration\n" for name in SIGNING)
            + f"put back {https}\n"
            f"put back {http}\n"
            f"removed the link {image.link}\n"
            f"removed the link {agent}\n"
            f"removed the link {signer}\n"
        ),
        "",
    )
    assert (image.configuration.read_text(), image.look()) == before
    assert image.call("--uninstall-git") == (0, "nothing to undo\n", "")


def test_a_git_that_reaches_no_https_is_given_it(image: Image) -> None:
    """In an image of git alone there is not even its exec path."""
    shutil.rmtree(image.exec_path)
    before = image.look()
    image.call("--install-git")
    assert {path.name for path in image.exec_path.iterdir()} == set(HELPERS)
    _, said, _ = image.call("--uninstall-git")
    assert f"removed the link {image.exec_path}/git-remote-https\n" in said
    assert image.look() == before


def test_names_that_are_one_file_are_told_apart(image: Image) -> None:
    """git's own Makefile makes hard links of them."""
    (image.exec_path / "git-remote-https").unlink()
    os.link(image.exec_path / "git-remote-http", image.exec_path / "git-remote-https")
    image.call("--install-git")
    image.call("--uninstall-git")
    https, http = ((image.exec_path / name).stat() for name in HELPERS)
    assert (https.st_ino, https.st_nlink) == (http.st_ino, 2)


def test_a_git_that_was_installed_anew_is_the_images(image: Image) -> None:
    """Then the older one does not come back, and is not kept."""
    image.call("--install-git")
    http = image.exec_path / "git-remote-http"
    http.unlink()
    http.write_text("newer curl")
    _, said, _ = image.call("--uninstall-git")
    assert "/.before-airlock.git-remote-http as git has been installed anew since\n" in said
    assert (http.read_text(), len(list(image.exec_path.iterdir()))) == ("newer curl", 3)


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
    assert (status, said.count("put back ")) == (0, 2)
    assert f"\nremoved the link {image.link}\n" in said
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


@pytest.mark.parametrize(
    ("mount", "place", "complaint"),
    [
        ("mount --bind $exec $exec; mount -o remount,bind,ro $exec", "https", "is read-only"),
        ("mount --bind /etc/hostname $exec/git-remote-http", "http", "something is mounted there"),
    ],
)
def test_a_program_that_cannot_give_way_leaves_nothing_changed(
    image: Image, unshare: list[str], mount: str, place: str, complaint: str
) -> None:
    """Where the file system of the image is read-only, or the program is mounted from elsewhere."""
    before = image.look()
    script = f'exec={image.exec_path}; {mount}; exec "$@"'
    status, said, told = image.call("--install-git", *unshare, "sh", "-c", script, "sh")
    assert (status, said) == (1, "")
    path = image.exec_path / f"git-remote-{place}"
    assert told.startswith(f"airlock: cannot make {path}: ")
    assert f"{complaint}\nairlock: hint: " in told
    assert (image.look(), image.git("--list")) == (before, "")


def test_a_shim_that_is_mounted_in_its_place_is_enough(image: Image, unshare: list[str]) -> None:
    """That is how `airlock-daemon run` puts it there."""
    mounts = [f"mount --bind {image.shim} {image.exec_path}/{name}" for name in HELPERS]
    calls = [f"{image.shim} --install-git", f"{image.shim} --uninstall-git"]
    ended = image.run(*unshare, "sh", "-ec", "\n".join([*mounts, *calls]))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "git-remote" not in ended.stdout


def test_a_git_that_does_not_say_where_its_programs_are(image: Image) -> None:
    """Nothing is guessed."""
    programs = image.folder / "bin"
    programs.mkdir()
    (programs / "git").write_text('#!/bin/sh\n[ "$1" = --exec-path ] || echo git version 2.47.3\n')
    (programs / "git").chmod(0o755)
    image.path = str(programs)
    status, said, told = image.call("--install-git")
    assert (status, said) == (1, "")
    assert told.startswith(f"airlock: {programs}/git does not say where its exec path is\n")
