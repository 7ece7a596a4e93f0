"""Stopping in order: every client is told, every request is recorded, and nothing is cut off."""

import fcntl
import json
import os
import signal
import socket
import sys
import termios
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from running import Answer, Daemon, read_answer, read_until, request
from worlds import World

STOPPING = "the daemon is stopping"

GRACE = "[daemon]\nshutdown_grace_s = 0\n"


def stop_with(daemon: Daemon, connections: int, *, say: bytes = b"") -> list[Answer]:
    """Let so many clients connect while the daemon is held up, and stop it then.

    Returns what each was told; each says `say` after it has connected.
    """
    with ExitStack() as stack:
        with daemon.suspended():
            clients = [stack.enter_context(daemon.connect()) for _ in range(connections)]
            for client in clients:
                client.sendall(say)
            daemon.process.send_signal(signal.SIGTERM)
        answers = [read_answer(client) for client in clients]
        assert daemon.process.wait(30) == 0, daemon.messages()
    return answers


@pytest.mark.parametrize("connections", [1, 3, 10])
def test_a_stop_that_meets_a_connection_is_in_order(world: World, connections: int) -> None:
    """Whichever comes first by a moment, the daemon ends with 0 and each client is told."""
    world.write_config(GRACE)
    with Daemon(world) as daemon:
        for answer in stop_with(daemon, connections):
            assert answer.error["message"] == STOPPING


def test_clients_in_the_queue_are_told(world: World) -> None:
    """Those that had connected and were not accepted yet get an answer and a record each."""
    world.write_config(GRACE)
    with Daemon(world) as daemon:
        for answer in stop_with(daemon, 100):
            assert answer.error["message"] == STOPPING
        records = daemon.records("invalid")
        assert [record["outcome"] for record in records] == ["aborted"] * 100
        assert {record["reason"] for record in records} == {"the daemon stopped"}


def test_requests_in_the_queue_are_not_begun(world: World) -> None:
    """A whole request that comes too late is recorded as what it asked for, and does not run.

    One may come before the daemon hears of the stop: it is begun, and ended.
    """
    world.write_config(GRACE)
    mark = world.workspace / "mark"
    with Daemon(world) as daemon:
        for answer in stop_with(daemon, 20, say=request("sh", "-c", f"touch {mark}")):
            assert (answer.error["message"], answer.last["id"]) == (STOPPING, 1)
        begun = daemon.records("exec-start")
        assert len(begun) <= 1
        assert begun or not mark.exists()
        records = daemon.records("exec")
        assert len(records) == 20
        for record in records:
            assert (record["outcome"], record["command"]) == ("aborted", "sh")
            assert record["peer"]["pid"] == os.getpid()


def test_what_runs_has_its_grace_while_late_clients_are_told(world: World) -> None:
    """A command that runs goes on, and its client gets its answer; whoever waits hears at once."""
    os.mkfifo(world.workspace / "go")
    with Daemon(world) as daemon, daemon.connect() as running, daemon.connect() as idle:
        running.sendall(request("sh", "-c", "echo up; read line < go; echo down"))
        read_until(running, "up")
        daemon.process.send_signal(signal.SIGTERM)
        assert read_answer(idle).error["message"] == STOPPING
        with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
            daemon.connect()
        (world.workspace / "go").write_text("\n")
        assert read_answer(running).exit_code == 0
        assert daemon.process.wait(30) == 0
        assert daemon.records("daemon-stop")


def test_nobody_connects_by_a_mounted_socket_after_the_stop(world: World) -> None:
    """Whoever holds the file itself, as a container's mount does, is refused by the kernel."""
    os.mkfifo(world.workspace / "go")
    with Daemon(world) as daemon, daemon.connect() as running:
        held = os.open(world.socket, os.O_PATH)
        running.sendall(request("sh", "-c", "echo up; read line < go"))
        read_until(running, "up")
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_until(lambda: not Path(world.socket).exists())
        with socket.socket(socket.AF_UNIX) as late:
            for _ in range(2):
                with suppress(OSError):
                    late.connect(f"/proc/self/fd/{held}")
                    assert read_answer(late).error["message"] == STOPPING
            with pytest.raises(ConnectionRefusedError):
                late.connect(f"/proc/self/fd/{held}")
        os.close(held)
        (world.workspace / "go").write_text("\n")
        assert daemon.process.wait(30) == 0


@pytest.mark.parametrize(
    ("taken", "own"), [("my/airlock.sock", "my.sock"), ("my.sock", "my/airlock.sock")]
)
def test_a_socket_of_another_daemon_stays(world: World, taken: str, own: str) -> None:
    """What stands at its paths by the time it stops is not this daemon's to remove."""
    sockets = Path(world.locations.sockets_dir)
    with Daemon(world) as daemon, socket.socket(socket.AF_UNIX) as other:
        (sockets / taken).unlink()
        other.bind(str(sockets / taken))
        other.listen()
        assert daemon.stop() == 0
        assert (sockets / taken).is_socket()
        assert not (sockets / own).exists()


def test_a_path_that_cannot_be_listened_on_is_told(world: World) -> None:
    """Something in the way of a socket is refused with its path, before anything is served."""
    in_the_way = Path(world.locations.sockets_dir) / "my"
    in_the_way.mkdir(parents=True)
    (in_the_way / "airlock.sock").write_text("")
    with pytest.raises(AssertionError, match="something that is no socket stands at"):
        Daemon(world)
    events = [json.loads(line)["event"] for line in world.log.read_text().splitlines()]
    assert "daemon-start" not in events


def test_clients_that_never_read_do_not_hold_up_a_stop(world: World) -> None:
    """Neither one whose output nobody takes, nor those that have no room for a last word."""
    world.write_config(GRACE)
    with Daemon(world) as daemon, ExitStack() as stack:
        clients = [stack.enter_context(daemon.connect()) for _ in range(3)]
        for client in clients:
            client.sendall(request("sh", "-c", "echo up; exec yes"))
            read_until(client, "up")
        # Each is full by the time that the daemon holds more than the sockets do.
        while daemon.shell("true").exit_code == 0:
            if all(unread(client) > 65536 for client in clients):
                break
        assert daemon.stop() == 0
        records = [record for record in daemon.records() if record["outcome"] == "aborted"]
        assert [record["reason"] for record in records] == ["the daemon stopped"] * 3
        assert daemon.records("daemon-stop")


def unread(client: socket.socket) -> int:
    """How many bytes there are to read."""
    count = fcntl.ioctl(client.fileno(), termios.FIONREAD, bytes(4))
    return int.from_bytes(count, sys.byteorder)
