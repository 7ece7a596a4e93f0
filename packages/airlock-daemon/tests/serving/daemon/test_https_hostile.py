"""Clients that attack a daemon by an agent's `https.sock`, while another agent goes on."""

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from api_world import ApiWorld, Refused, api_world
from running import Daemon, connect_to, read_answer, request
from worlds import World

FLOOD = 150
LIMIT = 100

Attack = Callable[[socket.socket, ExitStack], None]


@pytest.fixture
def apis(world: World) -> Iterator[ApiWorld]:
    """A world with an API, and a second agent `other`."""
    with api_world(world) as apis:
        world.write_config(f"[limits]\nconnections = {LIMIT}\n")
        world.add_agent("other")
        yield apis


def say_nothing(_connection: socket.socket, _stack: ExitStack) -> None:
    """Connect, and wait."""


def say_garbage(connection: socket.socket, _stack: ExitStack) -> None:
    """Send what is no HTTP."""
    connection.sendall(os.urandom(3000))


def begin(connection: socket.socket, _stack: ExitStack) -> None:
    """Send a head that does not end."""
    connection.sendall(b"CONNECT localhost:443 HTTP/1.1\r\nHost: ")


def send_descriptors(connection: socket.socket, stack: ExitStack) -> None:
    """Send sockets that take as long as their peer likes to close (SO_LINGER)."""
    listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    lingering = socket.create_connection(listening.getsockname())
    stack.enter_context(listening.accept()[0])
    lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    lingering.setblocking(False)
    with suppress(BlockingIOError):
        while lingering.send(bytes(65536)):
            pass
    try:
        socket.send_fds(connection, [b"CONNECT "], [lingering.fileno()] * 3)
    finally:
        # It waits for its peer where the daemon was the first to let go of it.
        closing = threading.Thread(target=lingering.close, daemon=True)
        closing.start()
        closing.join(0.02)


def count_descriptors(daemon: Daemon) -> int:
    """How many the daemon has."""
    return len(list(Path(f"/proc/{daemon.process.pid}/fd").iterdir()))


def ask_other(apis: ApiWorld) -> int:
    """Run a command as the other agent."""
    with connect_to(apis.published.parent / "other" / "airlock.sock") as connection:
        connection.sendall(request("sh", "-c", "exit 3"))
        return read_answer(connection).exit_code


def is_served(apis: ApiWorld) -> bool:
    """Whether the agent gets an answer, or has too many connections still."""
    try:
        with apis.client() as client:
            return client.ask("/who")[0] == 200
    except (Refused, BrokenPipeError, ConnectionResetError):
        return False


@pytest.mark.parametrize("attack", [say_nothing, say_garbage, begin, send_descriptors])
def test_a_flood_is_bounded_and_leaves_nothing(apis: ApiWorld, attack: Attack) -> None:
    """More connections than allowed, all open. The other agent is served, and then this one too."""
    with apis.daemon() as daemon:
        with apis.client() as client:
            assert client.ask("/who")[0] == 200
        before = count_descriptors(daemon)
        with ExitStack() as stack:
            for _ in range(FLOOD):
                connection = stack.enter_context(apis.connect())
                with suppress(BrokenPipeError, ConnectionResetError):
                    attack(connection, stack)
            assert ask_other(apis) == 3
            assert count_descriptors(daemon) < before + LIMIT + 40
        daemon.wait_until(lambda: is_served(apis) and count_descriptors(daemon) <= before)
        assert "please report" not in daemon.messages()


def test_descriptors_on_refused_connections_hang_nobody(apis: ApiWorld) -> None:
    """On the socket for commands, too, where the event loop would wait for their close."""
    with apis.daemon(), ExitStack() as stack:
        for _ in range(FLOOD):
            connection = stack.enter_context(connect_to(apis.world.socket))
            with suppress(BrokenPipeError, ConnectionResetError):
                send_descriptors(connection, stack)
        assert ask_other(apis) == 3
