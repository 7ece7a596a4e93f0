"""Both ends of a bridge, without I/O."""

import struct

import pytest

from airlock_wire import NEED_DATA, LocalProtocolError, RemoteProtocolError
from airlock_wire.bridge import (
    FIRST_CREDIT,
    MAX_PIECE,
    MAX_STREAMS,
    WINDOW,
    BridgeEnd,
    BridgeEvent,
    BridgeHello,
    StreamClosed,
    StreamCredit,
    StreamData,
    StreamOpened,
)

HELLO, OPEN, DATA, END, CLOSE, CREDIT, PING, PONG = range(8)
NAMES = ("airlock.sock", "https.sock")


def frame(stream: int, kind: int, payload: bytes = b"") -> bytes:
    return struct.pack("<IHH", stream, kind, len(payload)) + payload


def read_all(end: BridgeEnd) -> list[BridgeEvent]:
    events = []
    while (event := end.next_event()) is not NEED_DATA:
        events.append(event)
    return events


def tell(end: BridgeEnd, data: bytes) -> list[BridgeEvent]:
    end.receive_data(data)
    return read_all(end)


def connect() -> tuple[BridgeEnd, BridgeEnd]:
    """The container's end and the daemon's, which have greeted each other."""
    container, daemon = BridgeEnd("container"), BridgeEnd("daemon")
    assert tell(daemon, container.send_hello()) == [BridgeHello(())]
    assert tell(container, daemon.send_hello(NAMES)) == [BridgeHello(NAMES)]
    return container, daemon


def open_one() -> tuple[BridgeEnd, BridgeEnd, int]:
    container, daemon = connect()
    stream, opening = container.send_open("airlock.sock")
    assert tell(daemon, opening) == [StreamOpened(stream, "airlock.sock")]
    return container, daemon, stream


def test_the_bytes_are_those_of_the_protocol() -> None:
    """Little endian: stream, kind, length, and the payload."""
    container, daemon = connect()
    assert BridgeEnd("container").send_hello() == frame(0, HELLO, b"airlock-bridge 1")
    assert daemon.send_hello(NAMES) == frame(0, HELLO, b"airlock-bridge 1 airlock.sock https.sock")
    assert container.send_open("https.sock") == (1, frame(1, OPEN, b"https.sock"))
    assert container.send_open("https.sock") == (3, frame(3, OPEN, b"https.sock"))
    assert daemon.send_open("ca.pem") == (2, frame(2, OPEN, b"ca.pem"))
    assert container.send_data(1, b"abc") == b"\x01\0\0\0\x02\0\x03\0abc"
    assert container.send_end(1) == frame(1, END)
    assert container.send_close(3) == frame(3, CLOSE)
    tell(daemon, frame(1, OPEN, b"https.sock") + frame(1, DATA, b"abc"))
    assert daemon.send_credit(1, 3) == frame(1, CREDIT, b"\x03\0\0\0")
    assert daemon.send_ping(b"12345678") == frame(0, PING, b"12345678")
    assert daemon.send_pong(b"") == frame(0, PONG)


def test_an_end_sends_at_most_its_credit_until_it_is_granted_more() -> None:
    """8 KiB at first, of the daemon 256 KiB; what was delivered is granted again, and more."""
    container, daemon, stream = open_one()
    assert daemon.credit(stream) == WINDOW
    piece = bytes(FIRST_CREDIT // 2)
    for _ in range(2):
        assert tell(daemon, container.send_data(stream, piece)) == [StreamData(stream, piece)]
    assert container.credit(stream) == 0
    with pytest.raises(LocalProtocolError):
        container.send_data(stream, b"x")
    assert tell(container, daemon.send_credit(stream, 5)) == [StreamCredit(stream)]
    assert container.credit(stream) == 5
    with pytest.raises(LocalProtocolError):
        daemon.send_credit(stream, WINDOW)
    with pytest.raises(LocalProtocolError):
        container.send_data(stream, b"123456")
    assert tell(daemon, container.send_data(stream, b"12345")) == [StreamData(stream, b"12345")]
    assert tell(container, daemon.send_credit(stream, WINDOW)) == [StreamCredit(stream)]
    assert container.credit(stream) == WINDOW


def test_a_stream_is_over_once_both_ends_have_closed_it() -> None:
    """What is on its way when an end closes is void, not a fault."""
    container, daemon, stream = open_one()
    closing = daemon.send_close(stream)
    late = container.send_data(stream, b"late") + container.send_end(stream)
    assert tell(daemon, late) == []
    assert daemon.streams == 1
    assert tell(container, closing) == [StreamClosed(stream)]
    assert container.credit(stream) == 0
    assert tell(daemon, container.send_close(stream)) == []
    assert (container.streams, daemon.streams) == (0, 0)
    assert daemon.send_close(stream) == b""
    with pytest.raises(LocalProtocolError):
        daemon.send_end(stream)


def test_numbers_are_never_used_twice() -> None:
    """A closed stream's number is not opened again, by neither end."""
    container, daemon, stream = open_one()
    tell(container, daemon.send_close(stream))
    tell(daemon, container.send_close(stream))
    assert container.send_open("airlock.sock")[0] == stream + 2
    with pytest.raises(RemoteProtocolError):
        tell(daemon, frame(stream, OPEN, b"airlock.sock"))


def test_the_last_number_is_the_last() -> None:
    """An end whose numbers are used up opens nothing more."""
    container, _ = connect()
    container._next_own = 2**32 - 1
    assert container.send_open("airlock.sock")[0] == 2**32 - 1
    with pytest.raises(LocalProtocolError):
        container.send_open("airlock.sock")


@pytest.mark.parametrize(
    "data",
    [
        b"Usage: docker run [OPTIONS]\n",
        frame(0, HELLO, b"airlock-bridge 2"),
        frame(0, HELLO, b"airlock-bridge 1 airlock.sock"),
        frame(0, HELLO, b"airlock-bridge"),
        frame(1, HELLO, b"airlock-bridge 1"),
        frame(1, OPEN, b"airlock.sock"),
        frame(0, PING),
    ],
)
def test_what_does_not_greet_is_no_bridge(data: bytes) -> None:
    """The greeting comes first, and is right; the fault stays."""
    daemon = BridgeEnd("daemon")
    daemon.send_hello(NAMES)
    daemon.receive_data(data)
    for _ in range(2):
        with pytest.raises(RemoteProtocolError):
            daemon.next_event()


@pytest.mark.parametrize(
    "data",
    [
        frame(0, HELLO, b"airlock-bridge 1"),
        frame(0, 8),
        frame(1, PING),
        frame(0, PING, b"123456789"),
        frame(2, OPEN, b"airlock.sock"),
        frame(3, OPEN, b"airlock.sock"),
        frame(0, OPEN, b"airlock.sock"),
        frame(1, OPEN, b"docker.sock"),
        frame(1, OPEN, b"../airlock.sock"),
        frame(1, OPEN, b""),
        frame(1, OPEN, b"airlock.sock\0"),
        frame(1, OPEN, b"airlock.sock\xff"),
        frame(1, DATA, b"x"),
        frame(1, CLOSE),
        frame(2, CREDIT, b"\x01\0\0\0"),
    ],
)
def test_what_is_out_of_place_breaks_the_bridge(data: bytes) -> None:
    """Frames that no end may send after the greeting."""
    _, daemon = connect()
    with pytest.raises(RemoteProtocolError):
        tell(daemon, data)


@pytest.mark.parametrize(
    "data",
    [
        frame(1, DATA),
        struct.pack("<IHH", 1, DATA, MAX_PIECE + 1),
        frame(1, DATA, bytes(MAX_PIECE)) * 9,
        frame(1, END) + frame(1, END),
        frame(1, END) + frame(1, DATA, b"x"),
        frame(1, END, b"x"),
        frame(1, CLOSE) + frame(1, CLOSE),
        frame(1, CLOSE) + frame(1, DATA, b"x"),
        frame(1, CREDIT, b"\0\0\0\0"),
        frame(1, CREDIT, b"\x01\0\0\0"),
        frame(1, CREDIT, b"\x01"),
        frame(1, OPEN, b"airlock.sock"),
    ],
)
def test_what_a_stream_may_not_carry_breaks_the_bridge(data: bytes) -> None:
    """Frames that no end may send on an open stream."""
    _, daemon, _ = open_one()
    with pytest.raises(RemoteProtocolError):
        tell(daemon, data)


def test_so_many_streams_and_no_more() -> None:
    """The daemon keeps no more state than for that many; its own files take none of them."""
    container, daemon = connect()
    daemon.send_open("ca.pem")
    for _ in range(MAX_STREAMS):
        tell(daemon, container.send_open("airlock.sock")[1])
    with pytest.raises(RemoteProtocolError):
        tell(daemon, container.send_open("airlock.sock")[1])


def test_our_own_side_is_held_to_the_protocol_too() -> None:
    """What the other end would refuse is not sent."""
    container = BridgeEnd("container")
    with pytest.raises(LocalProtocolError):
        container.send_open("airlock.sock")
    with pytest.raises(LocalProtocolError):
        container.send_hello(("airlock.sock",))
    container.send_hello()
    with pytest.raises(LocalProtocolError):
        container.send_hello()
    for name in ("", "a/b", ".hidden", "A", "x" * 65, "a b", "a\n"):
        with pytest.raises(LocalProtocolError):
            container.send_open(name)
    with pytest.raises(LocalProtocolError):
        container.send_ping(bytes(9))
    with pytest.raises(LocalProtocolError):
        BridgeEnd("daemon").send_hello(tuple(f"{'x' * 60}{n:03}" for n in range(20)))
