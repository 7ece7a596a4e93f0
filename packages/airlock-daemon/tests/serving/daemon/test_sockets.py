"""Tests of `airlock_daemon.serving.daemon.sockets`, with real sockets and directories."""

import fcntl
import os
import socket
import stat
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airlock_daemon.errors import AirlockError
from airlock_daemon.serving.daemon.socket_file import File, bind
from airlock_daemon.serving.daemon.sockets import SocketsDirectory
from airlock_daemon.setup.paths import ENGINE, HTTPS, NAMES, SOCKET, Locations, find_link


def open_directory(path: Path, *, mode: int | None = None) -> SocketsDirectory:
    return SocketsDirectory(str(path), mode=mode, gid=None)


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_directory_has_sockets_for_any_user_of_a_container(tmp_path: Path) -> None:
    """The directory is made 0700, an agent's 0755, and the sockets 0666 under two names."""
    sockets = open_directory(tmp_path / "sockets")
    sockets.listen("my")
    assert permissions(tmp_path / "sockets") == 0o700
    assert permissions(tmp_path / "sockets" / "my") == 0o755
    by_directory = tmp_path / "sockets" / "my" / "airlock.sock"
    by_name = tmp_path / "sockets" / "my.sock"
    assert permissions(by_directory) == 0o666
    assert by_directory.stat().st_ino == by_name.stat().st_ino
    sockets.close()
    assert not by_directory.exists()
    assert not by_name.exists()


def test_an_agent_has_further_sockets_in_its_directory(tmp_path: Path) -> None:
    """With the same access as the first, which stays when they go, and links for its containers."""
    sockets = open_directory(tmp_path)
    for name in (SOCKET, HTTPS, ENGINE):
        sockets.listen("my", name)
    sockets.set_access(mode=0o640, gid=None)
    assert _list_files(tmp_path) == [
        ".containers/my.sock",
        ".containers/my/https.sock",
        *("my.sock", "my/airlock.sock", "my/docker.sock", "my/https.sock"),
    ]
    for link, name in ((".containers/my.sock", ENGINE), (".containers/my/https.sock", HTTPS)):
        assert (tmp_path / link).samefile(tmp_path / "my" / name)
        assert permissions(tmp_path / link) == 0o640
        sockets.dismiss("my", name).close()
    assert _list_files(tmp_path) == ["my.sock", "my/airlock.sock"]
    sockets.close()


def _list_files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*.sock"))


def test_what_replaces_a_socket_is_not_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that can write there puts a symlink in its place: an engine would follow it."""

    def replaced(directory: int, name: str, **access: Any) -> tuple[socket.socket, File]:
        listening, own = bind(directory, name, **access)
        os.unlink(name, dir_fd=directory)
        os.symlink("/var/run/docker.sock", name, dir_fd=directory)
        return listening, own

    link = os.link
    linked: list[str] = []

    def noted(source: str, target: str, **places: Any) -> None:
        linked.append(target)
        link(source, target, **places)

    monkeypatch.setattr("airlock_daemon.serving.daemon.sockets.bind", replaced)
    monkeypatch.setattr("os.link", noted)
    with closing(open_directory(tmp_path)) as sockets:
        with pytest.raises(AirlockError, match="was replaced"):
            sockets.listen("my", ENGINE)
        assert _list_files(tmp_path / ".containers") == []
        assert linked == [".containers/my.sock.new"]


def test_a_directory_that_others_reach_has_private_sockets(tmp_path: Path) -> None:
    """Where others may enter only the owner connects, unless the configuration says so."""
    shared = tmp_path / "sockets"
    shared.mkdir(mode=0o755)
    sockets = open_directory(shared)
    sockets.listen("my")
    assert permissions(shared / "my.sock") == 0o600
    sockets.close()
    sockets = open_directory(shared, mode=0o660)
    sockets.listen("my")
    assert permissions(shared / "my.sock") == 0o660
    sockets.close()


def test_one_daemon_serves_a_directory(tmp_path: Path) -> None:
    """A second one is refused while the first lives, and is welcome afterwards."""
    first = open_directory(tmp_path / "sockets")
    with pytest.raises(AirlockError, match="another daemon serves"):
        open_directory(tmp_path / "sockets")
    first.close()
    open_directory(tmp_path / "sockets").close()


def test_who_looks_whether_there_is_a_daemon_keeps_none_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`doctor` takes the lock for a moment, and a daemon that starts then waits for that."""
    open_directory(tmp_path / "sockets").close()
    looking = os.open(tmp_path / "sockets" / Locations.LOCK, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr(time, "sleep", lambda _: os.close(looking))
    open_directory(tmp_path / "sockets").close()


@pytest.mark.parametrize("name", NAMES)
def test_a_dead_socket_is_replaced(tmp_path: Path, name: str) -> None:
    """What a killed daemon left does not keep the next one from listening, at the link too."""
    path, link = tmp_path / "my" / name, tmp_path / find_link("my", name)
    for each in (path, link):
        each.parent.mkdir(parents=True, exist_ok=True)
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    os.link(path, link)
    left.close()
    sockets = open_directory(tmp_path)
    sockets.listen("my", name)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(link))
    sockets.close()


def test_a_live_socket_is_never_replaced(tmp_path: Path) -> None:
    """Somebody else's listener stays, and the message names it."""
    (tmp_path / "my").mkdir()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "my" / "airlock.sock"))
        other.listen()
        sockets = open_directory(tmp_path)
        with pytest.raises(AirlockError, match="somebody else is listening"):
            sockets.listen("my")
        sockets.close()
        assert (tmp_path / "my" / "airlock.sock").exists()


def test_a_directory_that_docker_made_goes_if_it_is_empty(tmp_path: Path) -> None:
    """An empty one is removed; a full one is named with the command that removes it."""
    (tmp_path / "my.sock").mkdir()
    (tmp_path / "full.sock").mkdir()
    (tmp_path / "full.sock" / "file").touch()
    sockets = open_directory(tmp_path)
    sockets.listen("my")
    with pytest.raises(AirlockError) as caught:
        sockets.listen("full")
    assert f"rm -r {tmp_path / 'full.sock'}" in (caught.value.hint or "")
    sockets.close()


def test_a_link_does_not_lead_the_daemon_elsewhere(tmp_path: Path) -> None:
    """A symlink for the lock or an agent's directory is refused; what it names stays."""
    precious = tmp_path / "precious"
    precious.write_text("as it was")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    directory = tmp_path / "sockets"
    directory.mkdir(mode=0o700)
    (directory / ".lock").symlink_to(precious)
    with pytest.raises(AirlockError):
        open_directory(directory)
    (directory / ".lock").unlink()
    (directory / "my").symlink_to(elsewhere)
    sockets = open_directory(directory)
    with pytest.raises(AirlockError):
        sockets.listen("my")
    sockets.close()
    assert precious.read_text() == "as it was"
    assert list(elsewhere.iterdir()) == []


def test_a_path_longer_than_a_socket_address_works(tmp_path: Path) -> None:
    """The 107 bytes of sun_path do not limit how deep the directory may be."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    sockets = open_directory(deep)
    sockets.listen("my")
    assert (deep / "my" / "airlock.sock").is_socket()
    sockets.close()
