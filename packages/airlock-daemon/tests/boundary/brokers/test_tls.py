"""TLS of the brokers' own HTTP, against the library's server."""

import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import trio
from https_server import make_authority

from airlock_daemon.boundary.brokers.http import TlsStream, has_pending

MUCH = 5 << 20


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate for `localhost` and its key."""
    return make_authority(tmp_path_factory.mktemp("tls"))


@contextmanager
def served(certificate: Path, serve: Callable[[ssl.SSLSocket], None]) -> Iterator[int]:
    """The port of a server whose one connection `serve` has; what it raises shows at the client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def work() -> None:
        connection, _ = listener.accept()
        with (
            closing(connection),
            suppress(OSError),
            context.wrap_socket(connection, server_side=True) as secured,
        ):
            serve(secured)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


async def connect(port: int, certificate: Path | None) -> TlsStream:
    """A stream to it, before the handshake."""
    context = ssl.create_default_context(cafile=certificate)
    return TlsStream(await trio.open_tcp_stream("127.0.0.1", port), context, "localhost")


def pattern(first: int) -> bytes:
    """Bytes of which no part is like another one near it."""
    return b"".join(number.to_bytes(8) for number in range(first, first + MUCH // 8))


async def test_much_goes_both_ways_at_once(certificate: Path) -> None:
    """Whole and in its order, whichever side is slower."""
    received = bytearray()

    def serve(connection: ssl.SSLSocket) -> None:
        sending = threading.Thread(target=connection.sendall, args=(pattern(1),))
        sending.start()
        while len(received) < MUCH:
            received.extend(connection.recv(1 << 16))
        sending.join()

    with served(certificate, serve) as port:
        async with await connect(port, certificate) as stream, trio.open_nursery() as nursery:
            await stream.do_handshake()
            nursery.start_soon(stream.send_all, pattern(2))
            came = bytearray()
            while len(came) < MUCH:
                piece = await stream.receive_some(100_000)
                assert 0 < len(piece) <= 100_000
                came += piece
    assert bytes(came) == pattern(1)
    assert bytes(received) == pattern(2)


@pytest.mark.parametrize("says_so", [True, False])
async def test_the_end_is_the_end_whether_it_is_said_or_not(
    certificate: Path, *, says_so: bool
) -> None:
    """What came before it is all given first."""

    def serve(connection: ssl.SSLSocket) -> None:
        connection.sendall(b"last words")
        if says_so:
            connection.unwrap()
        connection.close()

    with served(certificate, serve) as port:
        async with await connect(port, certificate) as stream:
            await stream.do_handshake()
            said = b""
            while piece := await stream.receive_some():
                said += piece
            assert await stream.receive_some() == b""
    assert said == b"last words"


async def test_what_was_changed_on_the_way_is_not_given(certificate: Path) -> None:
    """A record that does not fit its key is a fault, and so is all that comes after it."""

    def serve(connection: ssl.SSLSocket) -> None:
        raw = socket.socket(fileno=connection.detach())
        raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        raw.close()

    with served(certificate, serve) as port:
        async with await connect(port, certificate) as stream:
            await stream.do_handshake()
            for _ in range(2):
                with pytest.raises(trio.BrokenResourceError):
                    await stream.receive_some()


async def test_a_server_that_nobody_vouches_for_is_not_spoken_to(certificate: Path) -> None:
    """The cause of the fault says why."""
    with served(certificate, lambda _: None) as port:
        stream = await connect(port, None)
        with pytest.raises(trio.BrokenResourceError) as caught:
            await stream.do_handshake()
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        await trio.aclose_forcefully(stream)


async def test_a_server_may_begin_a_handshake_anew_behind_a_request(certificate: Path) -> None:
    """As one of TLS 1.2 does that wants a certificate for some paths: it waits for our part."""
    port = find_free_port()
    words = ["openssl", "s_server", "-tls1_2", "-accept", f"127.0.0.1:{port}"]
    words += ["-cert", str(certificate), "-key", str(certificate)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            while server.stdout.readline() != b"ACCEPT\n":
                pass
            async with await connect(port, certificate) as stream:
                await stream.do_handshake()
                server.stdin.write(b"R\n")
                server.stdin.flush()
                await stream.wait_for_more()
                received = stream.receive_now(100)
                server.stdin.write(b"hello\n")
                server.stdin.flush()
                while received is None:
                    await stream.wait_for_more()
                    received = stream.receive_now(100)
        finally:
            server.kill()
    assert received == b"hello\n"


def find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def test_a_part_of_a_record_ends_an_idle_connection(certificate: Path) -> None:
    """It would begin the answer to the next request. A session ticket does not count."""
    may_send = threading.Event()

    def serve(secured: ssl.SSLSocket) -> None:
        may_send.wait(30)
        # The connection below, in which a record begins.
        with socket.socket(fileno=os.dup(secured.fileno())) as below:
            below.send(b"\x17\x03\x03\x00")
        secured.recv(1)

    with served(certificate, serve) as port:
        stream = await connect(port, certificate)
        async with stream:
            await stream.do_handshake()
            await trio.sleep(0.05)
            assert not has_pending(stream)
            may_send.set()
            await stream.wait_for_more()
            assert has_pending(stream)
