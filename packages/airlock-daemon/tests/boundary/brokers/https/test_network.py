"""Hosts of `[network]`, which are reached through the HTTPS broker without being decrypted."""

import ssl
from pathlib import Path

import broker_fixtures
import pytest
import trio
from api_server import ApiServer, Certificates, proxying, serving
from broker_world import broker
from cryptography import x509

from airlock_daemon.boundary.brokers.http import TlsStream
from airlock_daemon.boundary.brokers.https.messages import Refused, Spliced
from airlock_daemon.boundary.brokers.https.splicing import BadHello, ClientHello

certificates = broker_fixtures.certificates
server = broker_fixtures.server
variables = broker_fixtures.variables

HOST = "files.example.com"


def say_hello(name: str | None) -> bytes:
    """The first message of TLS of a client that looks for `name`."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = name is not None
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def add_extension(hello: bytes, kind: int) -> bytes:
    """The same message with one more extension, which is empty."""
    # Record, message, version and random; then session, suites and compression.
    at = 5 + 4 + 2 + 32
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at : at + 2])
    at += 1 + hello[at]
    extensions = hello[at + 2 :] + kind.to_bytes(2) + b"\0\0"
    body = hello[9:at] + len(extensions).to_bytes(2) + extensions
    message = b"\x01" + len(body).to_bytes(3) + body
    return hello[:3] + len(message).to_bytes(2) + message


async def read_all(stream: trio.SocketStream) -> bytes:
    """All that still comes."""
    answer = b""
    try:
        while data := await stream.receive_some():
            answer += data
    except trio.BrokenResourceError:
        pass
    return answer


async def test_a_host_that_is_named_is_reached_as_it_is(
    tmp_path: Path, certificates: Certificates, variables: dict[str, str]
) -> None:
    """The tool sees the service's own certificate."""
    with serving(certificates.issue(HOST)) as server, proxying(server.port) as (port, asked):
        variables |= {"https_proxy": f"http://127.0.0.1:{port}"}
        network = (f"{HOST}:443",)
        async with broker(tmp_path, variables=variables, network=network) as world:
            stream, answer = await world.tunnel(f"{HOST}:443")
            assert answer.startswith(b"HTTP/1.1 200 ")
            context = ssl.create_default_context(cafile=str(certificates.file))
            # Certificates of tests do not name the key of their authority.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            async with TlsStream(stream, context, HOST) as tls:
                await tls.do_handshake()
                await tls.send_all(f"GET /x HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
                assert (await tls.receive_some()).endswith(b"ok")
            told = await world.wait_for(Spliced)
            assert isinstance(told, Spliced)
            assert (told.host, told.port) == (HOST, 443)
            assert told.sent > 100
            assert told.received > 100
            assert asked == [f"{HOST}:443"]
            assert server.seen[0].target == "/x"


async def test_tls_for_another_name_goes_no_further(
    tmp_path: Path, server: ApiServer, variables: dict[str, str]
) -> None:
    """Many names are served at one address."""
    attacks = (
        (say_hello("evil.example.com"), "CONNECT for files.example.com"),
        (say_hello(None), "CONNECT for files.example.com"),
        (add_extension(say_hello(HOST), 0xFE0D), "encrypts the server's name"),
        (b"GET / HTTP/1.1\r\nHost: evil.example.com\r\n\r\n", "it is no TLS"),
        (b"SSH-2.0-OpenSSH\r\n", "it is no TLS"),
    )
    with proxying(server.port) as (port, _):
        variables |= {"https_proxy": f"http://127.0.0.1:{port}"}
        network = (f"{HOST}:443",)
        async with broker(tmp_path, variables=variables, network=network) as world:
            for said, reason in attacks:
                count = len(world.told)
                stream, _ = await world.tunnel(f"{HOST}:443")
                await stream.send_all(said)
                assert await read_all(stream) == b""
                told = await world.wait_for(Refused, since=count)
                assert isinstance(told, Refused)
                assert told.rule == "name"
                assert reason in told.reason
    assert not server.seen


async def test_an_address_that_is_named_is_reached_for_whatever_name(
    tmp_path: Path, server: ApiServer, variables: dict[str, str]
) -> None:
    """It has no names. One that is not named is refused."""
    network = (f"127.0.0.1:{server.port}",)
    async with broker(tmp_path, variables=variables, network=network) as world:
        stream, answer = await world.tunnel(f"127.0.0.1:{server.port}")
        assert answer.startswith(b"HTTP/1.1 200 ")
        await stream.send_all(say_hello("any.example.com"))
        # The service's own part of the handshake.
        assert (await stream.receive_some()).startswith(b"\x16\x03")
        _, answer = await world.tunnel(f"127.0.0.2:{server.port}")
        assert answer.startswith(b"HTTP/1.1 403 airlock: ")


async def test_a_name_is_found_however_the_message_is_cut(world_hello: bytes) -> None:
    """In records of one byte each too, and with less it is not known yet."""
    for end in range(0, len(world_hello), 37):
        hello = ClientHello()
        assert not hello.feed(world_hello[:end])
        assert hello.name is None
        assert hello.feed(world_hello[end:])
        assert _read(hello) == (HOST, world_hello)
    message = world_hello[5:]
    tiny = b"".join(b"\x16\x03\x01\0\x01" + bytes([byte]) for byte in message)
    hello = ClientHello()
    assert [hello.feed(bytes([byte])) for byte in tiny] == [False] * (len(tiny) - 1) + [True]
    assert _read(hello) == (HOST, tiny)
    with pytest.raises(BadHello, match="an empty part"):
        ClientHello().feed(b"\x16\x03\x01\0\0" + world_hello)


def _read(hello: ClientHello) -> tuple[str | None, bytes]:
    return hello.name, bytes(hello.data)


async def test_each_byte_of_a_first_message_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pieces it comes in: a client chooses that."""
    begun = 0
    real = ClientHello._begin_record

    def count(hello: ClientHello) -> bool:
        nonlocal begun
        begun += 1
        return real(hello)

    monkeypatch.setattr(ClientHello, "_begin_record", count)
    hello, records = ClientHello(), 5000
    for number in range(records):
        # The length of a long message, and then anything.
        assert not hello.feed(b"\x16\x03\x01\0\x01" + (b"\1\0\x7f\0"[number : number + 1] or b"x"))
    assert begun == records


@pytest.fixture
def world_hello() -> bytes:
    """The first message of a client of HOST."""
    return say_hello(HOST)


async def test_an_agent_with_a_network_alone_gets_an_authority_for_nothing(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    """Its certificate permits no host."""
    async with broker(tmp_path, variables=variables, network=(f"{HOST}:443",)) as world:
        own = x509.load_pem_x509_certificate((world.published / "ca.pem").read_bytes())
        limits = own.extensions.get_extension_for_class(x509.NameConstraints).value
        assert limits.permitted_subtrees == [x509.DNSName("airlock.invalid")]
