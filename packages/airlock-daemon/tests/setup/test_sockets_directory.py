"""Tests of `airlock_daemon.setup.checking`: what the daemon's user cannot use."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock_daemon.setup.checking import find_unusable

NOBODY = 65534


def told(path: str | Path) -> list[str]:
    return [str(fault) for fault in find_unusable(str(path))]


@pytest.fixture
def user() -> Iterator[int]:
    """Somebody who is not root: the user of the tests, or nobody for as long as the test runs."""
    before = os.geteuid()
    os.seteuid(before or NOBODY)
    yield os.geteuid()
    os.seteuid(before)


@pytest.fixture
def place(user: int) -> Iterator[Path]:
    """A directory of the user's, which it can reach."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def test_what_can_be_used_is_not_told(place: Path, user: int) -> None:
    """Whether it is there already or not, with agents' directories and sockets."""
    assert told(place / "config" / "sockets") == []
    (place / "my").mkdir()
    (place / "my.sock").touch()
    assert told(place) == []


def test_a_directory_that_docker_made_is_told_with_the_command_that_mends_it(user: int) -> None:
    """It belongs to root, as the engine does."""
    (said,) = told("/usr")
    assert said == (
        "/usr: belongs to root (docker makes such a directory where a container mounts it before "
        f"the daemon has started); sudo chown -R {user} /usr && chmod 700 /usr"
    )


def test_an_agents_directory_that_docker_made_is_told(place: Path, user: int) -> None:
    """Where a container was started between the first start and the registration of its agent."""
    (place / "my").mkdir()
    if os.getuid() != 0:
        pytest.skip("giving a directory to root takes root")
    os.seteuid(0)
    os.chown(place / "my", 0, 0)
    os.seteuid(user)
    (said,) = told(place)
    assert said.startswith(f"{place}/my: belongs to root (docker")
    assert said.endswith(f"sudo chown -R {user} {place} && chmod 700 {place}")


def test_a_directory_that_cannot_be_made_is_told(user: int) -> None:
    """With the command that makes it for this user."""
    assert told("/usr/airlock/sockets") == [
        (
            "/usr/airlock/sockets: cannot be made, as /usr is not writable; "
            f"sudo install -d -m 700 -o {user} /usr/airlock/sockets"
        )
    ]


def test_ones_own_directory_without_the_right_to_write_is_told(place: Path, user: int) -> None:
    """A mode of its own."""
    (place / "so ckets").mkdir(mode=0o500)
    assert told(place / "so ckets") == [
        f"{place}/so ckets: is not writable; chmod u+rwx '{place}/so ckets'"
    ]


def test_what_is_no_directory_is_told(place: Path) -> None:
    """A file, or a link that leads nowhere."""
    (place / "file").touch()
    (place / "link").symlink_to("nowhere")
    for name in ("file", "link"):
        assert told(place / name) == [
            f"{place}/{name}: is no directory; look at what it is, then: rm {place}/{name}"
        ]


def test_root_may_use_everybodys_directory(place: Path, user: int) -> None:
    """A daemon of root's is not kept out by an owner."""
    if os.getuid() != 0:
        pytest.skip("takes root")
    os.seteuid(0)
    assert told(place) == []
    os.seteuid(user)
