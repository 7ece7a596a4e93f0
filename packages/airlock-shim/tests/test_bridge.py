"""`--bridge`: the container's end, between clients of its sockets and frames of its pipes.

What any such end does is in the conformance cases of a bridge.
"""

import contextlib
import os
import resource
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fake_bridges import (
    CLOSE,
    CREDIT,
    DATA,
    END,
    FIRST_CREDIT,
    GREETING,
    HELLO,
    OPEN,
    PING,
    WINDOW,
    FakeBridge,
    Frame,
)

MAX_STREAMS = 1024


@pytest.fixture
def bridge(folder: Path, shim: Path) -> Iterator[FakeBridge]:
    """A bridge that listens at the socket for commands."""
    with FakeBridge(folder, shim) as bridge:
        assert bridge.read() == Frame(0, HELLO, GREETING)
        bridge.greet("airlock.sock")
        yield bridge


def _credit(count: int) -> bytes:
    return count.to_bytes(4, "little")


def _read_all(client: socket.socket) -> bytes:
    pieces = []
    while piece := client.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def test_a_client_that_goes_is_told_also_when_the_daemon_takes_no_more(bridge: FakeBridge) -> None:
    """Nobody waits for a credit that may never come."""
    client, number = bridge.open()
    client.setblocking(False)
    received = 0
    while received < FIRST_CREDIT:
        with contextlib.suppress(BlockingIOError):
            client.send(bytes(1 << 13))
        received += len(bridge.read().payload)
    client.send(b"more")
    client.close()
    assert bridge.read_until(number, CLOSE)[-1] == Frame(number, CLOSE)


def test_a_client_in_the_place_of_one_that_goes_is_not_taken_for_it(bridge: FakeBridge) -> None:
    """It may get its descriptor, in the same round in which the other one has hung up."""
    gone, number = bridge.open()
    bridge.process.send_signal(signal.SIGSTOP)
    gone.close()
    bridge.send(Frame(number, CLOSE))
    client = bridge.connect()
    client.sendall(bytes(FIRST_CREDIT + 1))
    bridge.process.send_signal(signal.SIGCONT)
    frames = [bridge.read()]
    while frames[-1].kind != OPEN:
        frames.append(bridge.read())
    opened = frames[-1].stream
    received = 0
    while received < FIRST_CREDIT:
        frame = bridge.read()
        assert frame[:2] == (opened, DATA)
        received += len(frame.payload)
    bridge.send(Frame(opened, CREDIT, _credit(1)))
    assert bridge.read() == Frame(opened, DATA, bytes(1))


def test_many_at_once_are_served(bridge: FakeBridge) -> None:
    """Fifty clients, each with its own answer."""
    clients = [bridge.connect() for _ in range(50)]
    for nth, client in enumerate(clients):
        client.sendall(b"%d" % nth)
    said: dict[int, bytes] = {}
    while len(said) < len(clients):
        frame = bridge.read()
        if frame.kind == DATA:
            said[frame.stream] = frame.payload
    for number, word in said.items():
        bridge.send(Frame(number, DATA, b"answer to " + word), Frame(number, CLOSE))
    assert [_read_all(client) for client in clients] == [b"answer to %d" % n for n in range(50)]


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for as many open files as a bridge and its clients have at most."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_than_fit_wait_until_others_have_ended(many_files: None, bridge: FakeBridge) -> None:
    """No client is refused by the bridge."""
    clients = [bridge.connect() for _ in range(MAX_STREAMS + 1)]
    numbers = [bridge.read().stream for _ in range(MAX_STREAMS)]
    assert bridge.sync() == []
    bridge.send(Frame(numbers[0], CLOSE))
    assert bridge.read() == Frame(numbers[0], CLOSE)
    assert bridge.read() == Frame(numbers[-1] + 2, OPEN, b"airlock.sock")
    assert _read_all(clients[0]) == b""


def test_a_full_table_of_descriptors_stops_no_open_connection(bridge: FakeBridge) -> None:
    """Clients that find no room wait, and are served when others have ended."""
    client, number = bridge.open()
    resource.prlimit(bridge.process.pid, resource.RLIMIT_NOFILE, (16, 16))
    crowd = [bridge.connect() for _ in range(30)]
    bridge.sync()
    client.sendall(b"request")
    assert bridge.read_until(number, DATA)[-1] == Frame(number, DATA, b"request")
    bridge.send(Frame(number, DATA, b"answer"))
    assert client.recv(100) == b"answer"
    # Each in its turn, as the one before it ends.
    for _ in crowd:
        number += 2
        bridge.send(Frame(number, DATA, b"served"), Frame(number, CLOSE))
        bridge.read_until(number, CLOSE)
    assert {_read_all(each) for each in crowd} == {b"served"}


def test_a_storm_of_connections_leaves_nothing(bridge: FakeBridge) -> None:
    """Clients that come and go at once, in the middle of what they send, or without a word."""
    before = len(os.listdir(f"/proc/{bridge.process.pid}/fd"))
    client, number = bridge.open()
    for nth in range(1, 1001):
        with bridge.connect() as one:
            if nth % 2:
                one.sendall(b"half a requ")
            if nth % 3:
                one.shutdown(socket.SHUT_RD)
        bridge.read_until(number + 2 * nth, CLOSE)
        bridge.send(Frame(number + 2 * nth, CLOSE))
    client.sendall(b"still there")
    assert bridge.read() == Frame(number, DATA, b"still there")
    client.close()
    bridge.read_until(number, CLOSE)
    bridge.send(Frame(number, CLOSE))
    assert bridge.sync() == []
    assert len(os.listdir(f"/proc/{bridge.process.pid}/fd")) == before


def test_every_user_may_connect(bridge: FakeBridge) -> None:
    """The volume is for the agent's containers alone."""
    status = (bridge.folder / "airlock.sock").stat()
    assert stat.S_IMODE(status.st_mode) == 0o666


def test_a_new_bridge_takes_the_place_of_a_killed_one(bridge: FakeBridge, shim: Path) -> None:
    """Its sockets are replaced, and the same path leads to the new one."""
    bridge.process.kill()
    bridge.wait()
    with pytest.raises(ConnectionRefusedError):
        bridge.connect()
    with FakeBridge(bridge.folder, shim) as new:
        assert new.read() == Frame(0, HELLO, GREETING)
        new.greet("airlock.sock")
        client, number = new.open()
        new.send(Frame(number, DATA, b"answer"), Frame(number, CLOSE))
        assert _read_all(client) == b"answer"


def test_a_file_may_be_longer_than_a_window(bridge: FakeBridge) -> None:
    """It comes within its credit, and every user may read it."""
    path = bridge.folder / "ca.pem"
    long = os.urandom(2 * WINDOW)
    bridge.send(Frame(2, OPEN, b"ca.pem"))
    for start in range(0, len(long), 32768):
        bridge.send(Frame(2, DATA, long[start : start + 32768]))
        assert bridge.read() == Frame(2, CREDIT, _credit(32768))
    bridge.send(Frame(2, END))
    assert bridge.read() == Frame(2, CLOSE)
    assert path.read_bytes() == long
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


@pytest.mark.parametrize(
    "data",
    [
        b"something else entirely",
        Frame(0, HELLO, b"airlock-bridge 2 a.sock").encoded,
        Frame(0, HELLO, b"airlock-bridge 1 ../a.sock").encoded,
        Frame(0, HELLO, b"airlock-bridge 1 a b c d e").encoded,
        Frame(0, 8).encoded,
        Frame(0, PING, b"123456789").encoded,
        Frame(1, DATA, bytes(32769)).encoded,
        Frame(1, DATA).encoded,
        # What the client's socket takes is granted again, so that it is some more.
        Frame(1, DATA, bytes(32768)).encoded * 64,
        Frame(1, END).encoded * 2,
        Frame(1, END).encoded + Frame(1, DATA, b"x").encoded,
        Frame(1, CLOSE).encoded * 2,
        Frame(1, CREDIT, _credit(WINDOW - FIRST_CREDIT + 1)).encoded,
        Frame(1, CREDIT, b"\0").encoded,
        Frame(3, DATA, b"x").encoded,
        Frame(0, DATA, b"x").encoded,
        Frame(1, OPEN, b"ca.pem").encoded,
        Frame(2, OPEN, b"../ca.pem").encoded,
        Frame(2, OPEN, b".hidden").encoded,
        Frame(2, OPEN, b"airlock.sock").encoded,
        Frame(2, OPEN, b"a").encoded + Frame(4, OPEN, b"b").encoded,
        Frame(2, OPEN, b"a").encoded + Frame(2, CLOSE).encoded,
    ],
)
def test_what_breaks_the_protocol_ends_it(bridge: FakeBridge, data: bytes) -> None:
    """It says so, and the daemon starts another."""
    bridge.open()
    bridge.send_bytes(data)
    bridge.end()
    status, said = bridge.wait()
    assert said == (
        "airlock: the other end does not speak the protocol of a bridge\n"
        "airlock: hint: have the daemon start this, from an image of its own release\n"
    )
    assert status == 125


_frames = st.builds(
    Frame,
    st.sampled_from([0, 1, 2, 3, 4, 6, 2**32 - 1]),
    st.integers(0, 8),
    st.sampled_from([b"", b"\1\0\0\0", b"ca.pem", b"x", bytes(4096), GREETING, GREETING + b" a"]),
)


@given(frames=st.lists(_frames | st.binary(max_size=64), max_size=20))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_comes_it_ends_by_itself(
    folder: Path, shim: Path, frames: list[Frame | bytes]
) -> None:
    """With status 0 when stdin ends, or 125; never by a signal or a fault of its own."""
    with FakeBridge(folder, shim) as bridge:
        assert bridge.read() == Frame(0, HELLO, GREETING)
        hello = Frame(0, HELLO, GREETING + b" airlock.sock").encoded
        data = b"".join(each if isinstance(each, bytes) else each.encoded for each in frames)
        bridge.send_bytes(hello + data)
        bridge.end()
        status, said = bridge.wait()
        assert status in (0, 125)
        assert "has a fault" not in said
        for path in folder.iterdir():
            path.unlink()


def test_a_directory_that_cannot_be_used_is_told(folder: Path, shim: Path) -> None:
    """With the kernel's reason, and what to mount."""
    with FakeBridge(folder / "missing", shim) as bridge:
        bridge.send(Frame(0, HELLO, GREETING + b" airlock.sock"))
        status, said = bridge.wait()
    assert said == (
        f"airlock: cannot serve an agent's sockets in {folder}/missing: "
        "no such file or directory\n"
        "airlock: hint: mount a volume there in which this user may make files\n"
    )
    assert status == 125
