"""Descriptors that a client sends where none are taken, and that are slow to close."""

import os
import socket
import threading

import pytest

from airlock_daemon.boundary.connection.descriptors import MAX_THREADS
from running import Daemon, Message, connect_to, read_answer, request
from slow_closing import slow_to_close
from worlds import World


@pytest.mark.parametrize("way", ["a fourth", "later", "unread"])
def test_they_hold_up_nobody(daemon: Daemon, way: str) -> None:
    """Those beyond three, those that come late, and those that are never received."""
    one, other = slow_to_close()
    with other, daemon.connect() as client, open(os.devnull, "rb") as null:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        # Until it goes on the client has let go, so that the daemon's is the last that is closed.
        with daemon.suspended():
            if way == "a fourth":
                socket.send_fds(client, [b"{}\n"], [null.fileno()] * 3 + [one.fileno()])
            else:
                client.sendall(b"{" if way == "later" else b"{}\n" + b"x" * 80_000)
                socket.send_fds(client, [b"x"], [one.fileno()])
            one.close()
        client.recv(1)
        assert daemon.ask("nothing").error["code"] == -32601


def test_an_agent_cannot_have_any_number_of_threads_wait_for_them(world: World) -> None:
    """Its next connections wait in the kernel until some have closed; another agent's do not."""
    world.add_agent("other")
    kept = []
    with Daemon(world) as daemon:
        before = count_threads(daemon)
        for _ in range(2 * MAX_THREADS):
            one, other = slow_to_close()
            client = daemon.connect()
            send_away(client, one)
            kept += [other, client]
            assert "result" in ask_other(world)
        assert MAX_THREADS // 2 < count_threads(daemon) - before < MAX_THREADS + MAX_THREADS // 2
        with daemon.connect() as waiting:
            waiting.sendall(request("sh", "-c", "echo served"))
            assert "result" in ask_other(world)
            for each in kept:
                each.close()
            assert read_answer(waiting).text() == "served\n"
        assert "do not close" in daemon.messages()


def send_away(client: socket.socket, one: socket.socket) -> None:
    """Send it, and close it before the daemon does, nearly always. Else this is who waits.

    The daemon is not held up meanwhile: a close that waits ends where its process is.
    """

    def send() -> None:
        socket.send_fds(client, [b"{}\n"], [one.fileno()])
        one.close()

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    sender.join(1)


def ask_other(world: World) -> Message:
    """What another agent's command ends with."""
    with connect_to(world.socket.replace("/my/", "/other/")) as connection:
        connection.sendall(request("sh", "-c", "true"))
        return read_answer(connection).last


def count_threads(daemon: Daemon) -> int:
    """Of the daemon's process."""
    return len(os.listdir(f"/proc/{daemon.process.pid}/task"))
