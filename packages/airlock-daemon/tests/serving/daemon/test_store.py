"""Tests of `airlock_daemon.serving.daemon.store` and `store`: what a manager is told and keeps."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airlock_daemon.serving.daemon.sockets import SocketsDirectory
from airlock_daemon.serving.daemon.store import ServiceManager, SocketStore
from running import read_answer, request
from worlds import World


class Manager:
    """As much of a service manager as is told something: its end of NOTIFY_SOCKET."""

    def __init__(self, path: Path, *, capacity: int = 8) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(30)
        self.environment = {"NOTIFY_SOCKET": str(path), "FDSTORE": str(capacity)}
        self.kept: dict[str, int] = {}

    def hear(self) -> list[str]:
        """Receive one message, and do what it says of descriptors; returns its lines."""
        data, descriptors, _, _ = socket.recv_fds(self._socket, 4096, 4)
        lines = data.decode().split("\n")
        values = dict(line.split("=", 1) for line in lines)
        if "FDSTORE" in values:
            (self.kept[values["FDNAME"]],) = descriptors
        elif "FDSTOREREMOVE" in values:
            os.close(self.kept.pop(values["FDNAME"]))
        return lines

    def close(self) -> None:
        """Close everything, as a manager that ends."""
        self._socket.close()
        for descriptor in self.kept.values():
            os.close(descriptor)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


@contextmanager
def daemon(world: World, manager: Manager) -> Iterator[subprocess.Popen[str]]:
    """Start a daemon as the manager would: with what it keeps from descriptor 3 on."""
    names = ":".join(manager.kept)
    environment = {**os.environ, **manager.environment, "LISTEN_FDNAMES": names}
    environment["LISTEN_FDS"] = str(len(manager.kept))
    # The process that is started is the one that LISTEN_PID means.
    moves = " ".join(f"{3 + i}<&{fd}" for i, fd in enumerate(manager.kept.values()))
    script = f'exec env LISTEN_PID=$$ "$@" {moves}'
    argv = ["bash", "-c", script, "sh", sys.executable, "-m", "airlock_daemon"]
    argv += ["--config", str(world.config), "start", "--agents", str(world.agents_file)]
    passed = tuple(manager.kept.values())
    process = subprocess.Popen(
        argv, env=environment, pass_fds=passed, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def hear_until(manager: Manager, line: str) -> list[str]:
    """Every message up to the one with this line."""
    heard: list[str] = []
    while line not in heard:
        heard += manager.hear()
    return heard


def ask(connection: socket.socket) -> int:
    connection.sendall(request("sh", "-c", "exit 3"))
    return read_answer(connection).exit_code


def test_the_manager_is_told_when_it_serves_and_when_it_stops(
    world: World, manager: Manager
) -> None:
    """Stopping may take as long as commands are given, and some seconds more."""
    with daemon(world, manager) as process:
        hear_until(manager, "READY=1")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(world.socket)
        process.terminate()
        heard = hear_until(manager, "STOPPING=1")
        assert heard[-1] == "EXTEND_TIMEOUT_USEC=40000000"
        assert process.wait(30) == 0


def test_the_manager_is_told_of_a_reload(world: World, manager: Manager) -> None:
    """Also of one that fails, after which the daemon serves as before."""
    with daemon(world, manager) as process:
        hear_until(manager, "READY=1")
        for profile in ("", "[workspce]\n"):
            world.write_profile(profile)
            process.send_signal(signal.SIGHUP)
            assert hear_until(manager, "RELOADING=1")[1].startswith("MONOTONIC_USEC=")
            assert hear_until(manager, "READY=1") == ["READY=1"]


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_who_connects_between_two_daemons_is_served_by_the_second(
    world: World, manager: Manager, end: str
) -> None:
    """By the very socket that a container has mounted as a file."""
    with daemon(world, manager) as process:
        hear_until(manager, "READY=1")
        before = os.stat(world.socket).st_ino
        getattr(process, end)()
        process.wait(30)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(world.socket)
        with daemon(world, manager):
            assert ask(client) == 3
            assert os.stat(world.socket).st_ino == before


def test_every_socket_of_an_agent_is_kept(world: World, manager: Manager) -> None:
    """That for APIs too, which an agent has with a network."""
    world.write_profile('[network]\nallow = ["example.com:443"]\n')
    with daemon(world, manager) as process:
        hear_until(manager, "READY=1")
        assert {name.partition("@")[0] for name in manager.kept} == {"my", "my/https.sock"}
        process.kill()
        process.wait(30)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(Path(world.socket).with_name("https.sock")))
        client.sendall(b"CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n")
        with daemon(world, manager):
            assert client.recv(4096).startswith(b"HTTP/1.1 403 airlock: ")


def test_nobody_is_told_where_there_is_no_manager() -> None:
    """As when a person starts the daemon; FDSTORE alone says nothing."""
    manager = ServiceManager({"FDSTORE": "8"})
    manager.ready()
    assert manager.capacity == 0
    assert not manager.store("my", 0)


def test_a_manager_that_is_gone_keeps_nobody_from_serving(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said on the log."""
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    assert "the service manager cannot be told READY=1" in caplog.text


def kept_directory(path: Path, manager: Manager) -> SocketsDirectory:
    store = SocketStore(ServiceManager(manager.environment), {})
    return SocketsDirectory(str(path / "sockets"), mode=None, gid=None, store=store)


def test_a_kept_socket_stays_when_the_directory_is_closed(tmp_path: Path, manager: Manager) -> None:
    """With both its names; what the manager has no room for goes as ever."""
    manager.environment["FDSTORE"] = "1"
    sockets = kept_directory(tmp_path, manager)
    for name in ("kept", "other"):
        sockets.listen(name)
    assert manager.hear()[1].startswith("FDNAME=kept@")
    sockets.close()
    left = sorted(path.name for path in (tmp_path / "sockets").glob("*.sock"))
    assert left == ["kept.sock"]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "sockets" / "kept" / "airlock.sock"))
