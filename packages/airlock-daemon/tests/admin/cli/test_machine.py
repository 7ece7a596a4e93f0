"""Tests of `airlock_daemon.admin.cli.machine`: accounts, homes, and what is read of an image."""

import os
import stat
from pathlib import Path

import pytest

from airlock_daemon.admin.cli.machine import User, add_user, make_mount_point, prepare_machine
from airlock_daemon.admin.cli.wiring import HOME
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.paths import Locations

ADA = User(uid=1003, gid=1004, name="ada", group="staff")
PASSWD = "root:x:0:0:root:/root:/bin/bash\nnode:x:1000:1000::/home/node:/bin/bash\n"
GROUP = "root:x:0:\nnode:x:1000:\n"
PATH = "/usr/local/bin:/usr/bin:/bin"


@pytest.fixture
def locations(tmp_path: Path) -> Locations:
    """The files of a configuration of its own."""
    return Locations.find(config=str(tmp_path / "config"))


@pytest.fixture(autouse=True)
def human(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of the human's git."""
    file = tmp_path / "human" / ".gitconfig"
    file.parent.mkdir()
    file.write_text(
        '[user]\n\tname = Ada \\\\ \\"A\\"\n\temail = ada@example.org\n[core]\n\tpager = x\n'
    )
    monkeypatch.setenv("HOME", str(file.parent))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return file


def prepare(locations: Locations) -> Path:
    """Make the files of the agent `my` for an image that is not known; return its home."""
    return Path(prepare_machine(locations, "my", user=ADA, search_path=PATH).mounts[0].source)


def test_accounts_that_the_image_lacks_are_added_behind_its_own() -> None:
    """Also behind a file without an end of its last line."""
    made = add_user(ADA, passwd=PASSWD, group=GROUP.rstrip(), login_shell="/bin/bash")
    assert made.passwd == f"{PASSWD}ada:x:1003:1004::{HOME}:/bin/bash\n"
    assert made.group == f"{GROUP}staff:x:1004:\n"


def test_an_image_that_has_the_ids_keeps_its_files() -> None:
    """Each file by itself."""
    user = User(uid=1000, gid=1004, name="ada", group="staff")
    made = add_user(user, passwd=PASSWD, group=GROUP, login_shell="/bin/sh")
    assert made.passwd is None
    assert made.group == f"{GROUP}staff:x:1004:\n"


def test_a_name_of_the_image_is_not_given_twice() -> None:
    """The image's `node` stays who it is."""
    user = User(uid=1003, gid=1003, name="node", group="node")
    made = add_user(user, passwd=PASSWD, group=GROUP, login_shell="/bin/sh")
    assert made.passwd == f"{PASSWD}airlock-agent:x:1003:1003::{HOME}:/bin/sh\n"
    assert made.group == f"{GROUP}airlock-agent:x:1003:\n"


def test_an_image_without_the_files_gets_them(locations: Locations) -> None:
    """With root and nobody. An image that is not known is taken to have its root."""
    made = add_user(ADA, passwd=None, group=None, login_shell="/bin/sh")
    assert made.passwd is not None
    assert [line.split(":")[0] for line in made.passwd.splitlines()] == ["root", "nobody", "ada"]
    root = User(uid=0, gid=0, name="root", group="root")
    made = add_user(root, passwd=None, group=None, login_shell="/bin/sh")
    assert made.passwd is not None
    assert [line.split(":")[0] for line in made.passwd.splitlines()] == ["root", "nobody"]
    machine = prepare_machine(locations, "my", user=root, search_path=PATH)
    assert [mount.target for mount in machine.mounts] == [HOME]


def test_the_home_is_private_and_lasts(locations: Locations) -> None:
    """It begins with the human's name for git, and nothing else of the human's configuration."""
    home = prepare(locations)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    text = (home / ".gitconfig").read_text()
    assert text == '[user]\n\tname = "Ada \\\\ \\"A\\""\n[user]\n\temail = "ada@example.org"\n'
    (home / ".gitconfig").write_text("[user]\n\tname = Bot\n")
    (home / "kept").touch()
    assert prepare(locations) == home
    assert (home / ".gitconfig").read_text() == "[user]\n\tname = Bot\n"
    assert (home / "kept").exists()


def test_a_name_that_is_set_later_is_there_from_then_on(locations: Locations, human: Path) -> None:
    """As long as the home has no configuration of git."""
    before = human.read_text()
    human.unlink()
    home = prepare(locations)
    assert not (home / ".gitconfig").exists()
    human.write_text(before)
    prepare(locations)
    assert (home / ".gitconfig").exists()


def test_nothing_is_written_by_way_of_a_link_of_the_container(
    locations: Locations, tmp_path: Path
) -> None:
    """Neither where its configuration of git leads, nor to where that is not there yet."""
    home = prepare(locations)
    for target in (tmp_path / "theirs", tmp_path / "missing"):
        (home / ".gitconfig").unlink()
        (home / ".gitconfig").symlink_to(target)
        (tmp_path / "theirs").write_text("theirs")
        prepare(locations)
        assert (tmp_path / "theirs").read_text() == "theirs"
        assert not (tmp_path / "missing").exists()


def test_a_link_is_no_home(locations: Locations, tmp_path: Path) -> None:
    """Whoever put it there; it is said which one."""
    home = prepare(locations)
    home.rename(tmp_path / "moved")
    home.symlink_to(tmp_path / "moved")
    with pytest.raises(AirlockError, match=f"{home} cannot be the home of my: "):
        prepare(locations)


def test_the_files_of_containers_are_readable_for_all_users_of_one(locations: Locations) -> None:
    """Nobody else on the host comes to them."""
    machine = prepare_machine(locations, "my", user=ADA, search_path=PATH)
    assert machine.environment == {"HOME": HOME}
    assert [mount.target for mount in machine.mounts] == [HOME, "/etc/passwd", "/etc/group"]
    for mount in machine.mounts[1:]:
        assert mount.read_only
        assert stat.S_IMODE(os.stat(mount.source).st_mode) == 0o644
    assert stat.S_IMODE(os.stat(locations.containers_dir).st_mode) == 0o700


def test_a_file_in_the_home_has_a_place_that_is_the_users(
    locations: Locations, tmp_path: Path
) -> None:
    """Made without following a link of the container's, and only where there is a home."""
    make_mount_point(locations, "my", "~/.config/tool/token")
    home = tmp_path / "config/containers/homes/my"
    assert not home.exists()
    home.mkdir(parents=True)
    for target in ("~/.config/tool/token", "~/.config/tool/token", "/etc/tool"):
        make_mount_point(locations, "my", target)
    assert (home / ".config/tool/token").read_bytes() == b""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (home / "link").symlink_to(elsewhere)
    with pytest.raises(AirlockError, match="nothing can be mounted at ~/link/x in "):
        make_mount_point(locations, "my", "~/link/x")
    assert not any(elsewhere.iterdir())
