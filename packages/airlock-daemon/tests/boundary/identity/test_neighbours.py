"""What containers of agents have mounted, seen by the mounts of their processes."""

from pathlib import Path

import pytest

from airlock_daemon.boundary.identity.neighbours import Mounted
from boxing import needs_bubblewrap
from mounting import container

pytestmark = needs_bubblewrap


@pytest.fixture
def sockets(tmp_path: Path) -> Path:
    """The directory of the sockets, with that of an agent, and workspaces beside it."""
    for name in ("sockets/other", "workspace", "kept"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path / "sockets"


def test_a_container_with_a_socket_is_an_agents(sockets: Path) -> None:
    """What it may write counts, at whatever path it has that, and goes with it."""
    workspace, kept = str(sockets.parent / "workspace"), str(sockets.parent / "kept")
    mounts = ("--bind", workspace, "/srv/app", "--ro-bind", kept, "/kept")
    assert workspace not in Mounted.find_writable(str(sockets))
    with container("--ro-bind", str(sockets / "other"), "/run/airlock", *mounts):
        found = Mounted.find_writable(str(sockets))
        assert workspace in found
        assert kept not in found
    assert workspace not in Mounted.find_writable(str(sockets))


def test_a_container_without_one_is_nobodys(sockets: Path) -> None:
    """A person may mount what they like into containers of their own."""
    workspace = str(sockets.parent / "workspace")
    with container("--bind", workspace, "/srv/app"):
        assert Mounted.find_writable(str(sockets)) == ()


def test_what_only_waits_is_passed_over(sockets: Path) -> None:
    """A box that waits for a command is known by the programs in it, and not by their names."""
    workspace = str(sockets.parent / "workspace")
    cat, other = (find_identity(path) for path in ("/usr/bin/cat", "/usr/bin/true"))

    def has_it(*waiting: tuple[int, int]) -> bool:
        mounted = (each.get("/srv/app") for each in Mounted.list_all(frozenset(waiting)))
        return any(each is not None and workspace in each.paths for each in mounted)

    with container("--bind", workspace, "/srv/app"):
        assert has_it()
        assert has_it(other)
        assert not has_it(cat, other)
    assert not has_it()


def find_identity(path: str) -> tuple[int, int]:
    """Device and inode."""
    status = Path(path).stat()
    return status.st_dev, status.st_ino
