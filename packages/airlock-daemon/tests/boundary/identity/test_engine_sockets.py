"""Tests of `boundary.identity.engine_sockets`; e2e's test_doors.py has real containers."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock_daemon.boundary.identity import engine_sockets
from airlock_daemon.boundary.identity.containers import Containers
from airlock_daemon.boundary.identity.engine_sockets import (
    find_engine_socket,
    find_foreign_procfs,
    refuse_engine_socket,
)
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.errors import Denied
from airlock_daemon.path_text import relative_to
from airlock_daemon.platform.linux.mountinfo import read_own_mounts

ROOT = "900 800 0:999 / / rw - overlay overlay rw\n901 900 0:998 / /proc rw - proc proc rw\n"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An engine's socket of this host, as DOCKER_HOST names it, in a directory of its own."""
    folder = Path(os.path.realpath(tmp_path)) / "run"
    folder.mkdir()
    path = folder / "engine"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    engine_sockets._list_patterns.cache_clear()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        yield path
    engine_sockets._list_patterns.cache_clear()


def mounts(*pairs: tuple[Path, str]) -> str:
    """The mountinfo of a container that has these paths of the host at these of its own."""
    host = read_own_mounts()
    lines = []
    for number, (path, point) in enumerate(pairs):
        row = host.find(str(path))
        assert row is not None
        rest = relative_to(str(path), row.point) or ""
        inside = os.path.join(row.root, rest) if rest else row.root
        lines.append(f"{910 + number} 900 {row.device} {inside} {point} rw - {row.kind} x rw\n")
    return ROOT + "".join(lines)


def test_it_is_found_as_a_file_and_in_a_directory(engine: Path) -> None:
    """By where it is on the host, whatever it is called in the container."""
    assert find_engine_socket(mounts((engine, "/a")), sockets_dir=None) == "/a"
    assert find_engine_socket(mounts((engine.parent, "/r")), sockets_dir=None) == "/r/engine"
    above = engine.parent.parent
    assert find_engine_socket(mounts((above, "/up")), sockets_dir=None) == "/up/run/engine"
    assert find_engine_socket(mounts((engine.parent / "x", "/x")), sockets_dir=None) is None
    assert find_engine_socket(ROOT, sockets_dir=None) is None


def test_what_another_mount_covers_is_not_there(engine: Path, tmp_path: Path) -> None:
    """As where an engine's directory is mounted, and an empty file over the socket in it."""
    covered = mounts((engine.parent, "/r"), (tmp_path / "empty", "/r/engine"))
    assert find_engine_socket(covered, sockets_dir=None) is None


def test_it_is_no_socket_until_there_is_one(engine: Path) -> None:
    """ApiCall anew each time: the directory may be mounted before the engine starts."""
    text = mounts((engine.parent, "/r"))
    engine.unlink()
    assert find_engine_socket(text, sockets_dir=None) is None
    engine.mkdir()
    assert find_engine_socket(text, sockets_dir=None) is None
    engine.rmdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(engine))
        assert find_engine_socket(text, sockets_dir=None) == "/r/engine"


def test_an_engine_that_starts_later_is_found(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that has the directory of a user's sockets, whose mounts never change."""
    users = Path(os.path.realpath(tmp_path)) / "user"
    users.mkdir()
    monkeypatch.setattr(engine_sockets, "_SYSTEM", (f"{users}/*/podman/podman.sock",))
    engine_sockets._list_patterns.cache_clear()
    text = mounts((users, "/u"))
    assert find_engine_socket(text, sockets_dir=None) is None
    (users / "1000" / "podman").mkdir(parents=True)
    assert find_engine_socket(text, sockets_dir=None) is None
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(users / "1000/podman/podman.sock"))
        assert find_engine_socket(text, sockets_dir=None) == "/u/1000/podman/podman.sock"
    (users / "1000").rename(users / "1001")
    assert find_engine_socket(text, sockets_dir=None) == "/u/1001/podman/podman.sock"
    (users / "1001/podman/podman.sock").unlink()
    assert find_engine_socket(text, sockets_dir=None) is None


@pytest.mark.parametrize(
    "name", ["docker.sock", "docker-proxy.sock", "podman.sock", "containerd.sock", "crio.sock"]
)
def test_one_that_nobody_knows_is_found_by_its_name(name: str, tmp_path: Path) -> None:
    """Also one that was removed since; but none of Airlock's own."""
    folder = Path(os.path.realpath(tmp_path))
    text = mounts((folder / name, "/x"))
    assert find_engine_socket(text, sockets_dir=None) == "/x"
    assert find_engine_socket(text.replace(name, f"{name}//deleted"), sockets_dir=None) == "/x"
    assert find_engine_socket(text, sockets_dir=str(folder)) is None
    assert find_engine_socket(mounts((folder / "x.sock", "/x")), sockets_dir=None) is None


def proc(*rows: tuple[str, str, str]) -> str:
    """The mountinfo of a container with these further mounts of procfs: device, root, point."""
    lines = (f"{950 + n} 900 {d} {r} {p} rw - proc x rw\n" for n, (d, r, p) in enumerate(rows))
    return ROOT + "".join(lines)


def test_processes_of_others_are_found_by_their_procfs() -> None:
    """That of the host, under any name and in the place of its own, and that of a container."""
    row = read_own_mounts().find("/proc")
    assert row is not None
    hosts = row.device
    assert find_foreign_procfs(proc((hosts, "/", "/hp"))) == "/hp"
    assert find_foreign_procfs(proc((hosts, "/4711/root", "/x"))) == "/x"
    assert find_foreign_procfs(proc((hosts, "/", "/proc"))) == "/proc"
    assert find_foreign_procfs(proc(("0:997", "/", "/other"))) == "/other"


def test_its_own_procfs_is_no_others() -> None:
    """Also where parts of it are mounted again, and where a sandbox in it has covered it."""
    own = "0:998"
    assert find_foreign_procfs(proc((own, "/sys", "/proc/sys"), (own, "/", "/again"))) is None
    assert find_foreign_procfs(proc(("0:997", "/", "/proc"))) is None
    assert find_foreign_procfs(proc(("0:997", "/cpuinfo", "/cpuinfo"))) is None


async def test_a_client_that_sees_processes_of_others_is_refused(tmp_path: Path) -> None:
    """With a rule of its own; e2e has real containers, and such that share processes."""
    peer = Peer(pid=1, uid=0, kind="container", mountinfo=proc(("0:997", "/", "/hp")))
    with pytest.raises(Denied, match=r'"/hp"') as caught:
        await refuse(peer, Containers(str(tmp_path)))
    assert (caught.value.layer, caught.value.rule) == ("workspace", "others-processes")
    assert "engine_socket = true in /my.toml" in (caught.value.hint or "")


async def refuse(peer: Peer, containers: Containers) -> None:
    """Refuse such a client of the agent `my`."""
    await refuse_engine_socket(
        peer, agent="my", profile_file="/my.toml", sockets_dir=None, containers=containers
    )


async def test_a_client_with_one_is_refused(engine: Path, tmp_path: Path) -> None:
    """The hint names the file that accepts it. A client that is in no container is not meant."""
    containers = Containers(str(tmp_path))
    text = mounts((engine, "/var/run/docker.sock"))
    with pytest.raises(Denied, match=r'"/var/run/docker\.sock"') as caught:
        await refuse(Peer(pid=1, uid=0, kind="container", mountinfo=text), containers)
    assert (caught.value.layer, caught.value.rule) == ("workspace", "engine-socket")
    assert "engine_socket = true in /my.toml" in (caught.value.hint or "")
    await refuse(Peer(pid=1, uid=0, kind="local", mountinfo=text), containers)
    await refuse(Peer(pid=1, uid=0, kind="container", mountinfo=ROOT), containers)


async def test_a_client_that_hides_mounts_is_asked_for_at_the_engine(
    engine: Path, tmp_path: Path
) -> None:
    """A changed root shows none outside of it; e2e has one that the engine knows."""
    containers = Containers(str(tmp_path))
    hidden = ROOT.splitlines(keepends=True)[0]
    for container in (None, "a" * 64):
        peer = Peer(pid=1, uid=0, kind="container", container=container, mountinfo=hidden)
        with pytest.raises(Denied) as caught:
            await refuse(peer, containers)
        assert caught.value.rule == "root"
    # A process of the host in namespaces of its own is no container.
    own = Path("/proc/self/mountinfo").read_text()
    await refuse(Peer(pid=1, uid=0, kind="container", mountinfo=own), containers)
