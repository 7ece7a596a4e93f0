"""What a module says that its box may reach, and every other spelling of a host."""

import socket
from collections.abc import AsyncIterator
from http import HTTPStatus

import pytest
import trio
from egress_world import taking_turns
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from airlock_daemon.boundary.brokers.egress.destinations import (
    HEAD_S,
    MAX_HEAD_BYTES,
    BadHead,
    read_destination,
    read_head,
    read_network,
    refusal,
)
from airlock_daemon.boundary.fairness import TurnQueue

NETWORK = read_network(
    ("registry.example.com:443", "*.amazonaws.com:443", "10.0.0.5:5432", "[2001:db8::1]:443")
)


def is_granted(text: str) -> bool:
    """Whether what CONNECT asks for is a destination, and one that the module names."""
    try:
        wanted = read_destination(text)
    except ValueError:
        return False
    return NETWORK.names(wanted) or NETWORK.covers(wanted)


@pytest.mark.parametrize(
    "text",
    [
        *("registry.example.com:443", "REGISTRY.Example.COM:443", "10.0.0.5:5432"),
        *("s3.amazonaws.com:443", "a.b.c.amazonaws.com:443", "S3.AMAZONAWS.COM:443"),
        *("[2001:db8::1]:443", "[2001:DB8:0:0::1]:443"),
    ],
)
def test_what_is_named_is_granted(text: str) -> None:
    """Letters of a name have no case, and an address of IPv6 may be written in full."""
    assert is_granted(text)


@pytest.mark.parametrize(
    "text",
    [
        # Another port, host, or part of one.
        *("registry.example.com:444", "registry.example.com:80", "xregistry.example.com:443"),
        *("example.com:443", "x.registry.example.com:443", "10.0.0.5:443", "10.0.0.6:5432"),
        # Below a pattern is not the name itself, nor what only ends or begins like it.
        *("amazonaws.com:443", ".amazonaws.com:443", "xamazonaws.com:443", "*.amazonaws.com:443"),
        *("amazonaws.com.example.com:443", "s3.amazonaws.com:22", "s3..amazonaws.com:443"),
        *("127.0.0.1.amazonaws.com:444", "-s3.amazonaws.com:443", "s3-.amazonaws.com:443"),
        # A dot at the end, in full width, and other letters that look like these.
        *("registry.example.com.:443", "s3.amazonaws.com.:443", "registry\u3002example.com:443"),
        *(
            "r\u0435gistry.example.com:443",
            "s3\uff0eamazonaws.com:443",
            "\u212ax.amazonaws.com:443",
        ),
        # Users, paths, schemes and what else a URL may have.
        *("registry.example.com:443@evil.test:443", "evil.test:443@registry.example.com:443"),
        *(
            "user@registry.example.com:443",
            "registry.example.com:443/",
            "//registry.example.com:443",
        ),
        *(
            "https://registry.example.com:443",
            "registry.example.com:443?",
            "registry.example.com:443#",
        ),
        *("registry.example.com%00.evil.test:443", "registry.example.com\x00.evil.test:443"),
        *("registry.example.com\r\n:443", "registry.example.com :443", " registry.example.com:443"),
        *("registry.example.com\n:443", "registry.example.com\t:443", "registry.example.com:443\n"),
        # Ports.
        *("registry.example.com", "registry.example.com:", "registry.example.com:0443"),
        *("registry.example.com:+443", "registry.example.com:443.0", "registry.example.com:65979"),
        *("registry.example.com:0x1bb", "registry.example.com:\u0664\u0664\u0663", ":443", ""),
        # Addresses in other spellings, and none below a pattern.
        *("10.0.0.5.:5432", "10.5:5432", "0xa.0.0.5:5432", "012.0.0.5:5432", "167772165:5432"),
        *("10.0.0.05:5432", "010.0.0.5:5432", "0x0a000005:5432", "10.0.0.0x5:5432", "a.0x5:5432"),
        *(
            "[::ffff:10.0.0.5]:5432",
            "[::10.0.0.5]:5432",
            "[10.0.0.5]:5432",
            "[64:ff9b::a00:5]:5432",
        ),
        *("2001:db8::1:443", "[2001:db8::1%lo]:443", "[2001:db8::1]443", "[2001:db8::1:443"),
        *("[registry.example.com]:443", "[s3.amazonaws.com]:443", "[]:443", "[::1]:443"),
        # The metadata of a cloud.
        *("169.254.169.254:443", "2852039166:443", "0xa9fea9fe:443", "0251.0376.0251.0376:443"),
        *("169.254.43518:443", "[::ffff:169.254.169.254]:443", "[fd00:ec2::254]:443"),
        *("0xa9.0xfe.0xa9.0xfe:443", "169.254.169.254.:443", "[::ffff:a9fe:a9fe]:443"),
    ],
)
def test_no_other_spelling_is(text: str) -> None:
    """Whether it would lead to the same place or to another."""
    assert not is_granted(text)


@pytest.mark.parametrize("last", ["5", "05", "0x5", "0x", "00000000000", "09"])
def test_what_ends_in_a_number_is_no_name(last: str) -> None:
    """A resolver may take the whole for an address."""
    with pytest.raises(ValueError, match="below"):
        read_destination(f"below.{last}:443")


@pytest.mark.parametrize("host", ["[::1%lo]", "[fe80::1%eth0]", "[::1%25lo]", "::1%lo"])
def test_no_address_has_a_zone(host: str) -> None:
    """It is of an interface, and the daemon's are others than the tool's."""
    with pytest.raises(ValueError, match="443"):
        read_destination(f"{host}:443")


@pytest.mark.parametrize("entry", ["*.10.0.0.1:443", "*:443", "*.:443", "a*.example.com:443"])
def test_a_pattern_is_of_a_name(entry: str) -> None:
    """The daemon reads what the files were checked for once more."""
    with pytest.raises(ValueError, match="443"):
        read_network((entry,))


@pytest.mark.parametrize(
    ("entry", "addresses"),
    [
        ("localhost:80", ["127.0.0.1", "::1"]),
        ("127.0.0.53:53", ["127.0.0.53"]),
        ("[::1]:8080", ["::1"]),
    ],
)
def test_this_hosts_loopback_is_known_by_its_name_and_addresses(
    entry: str, addresses: list[str]
) -> None:
    """Nobody is asked for them."""
    (local,) = read_network((entry, "example.com:80", "10.0.0.1:80")).local
    assert str(local) == entry
    assert list(map(str, local.own_addresses)) == addresses


@given(
    st.text("0123456789abcdefxX.:[]-_%lo", max_size=40)
    | st.from_regex(r"[0-9a-fxA-FX.]{1,20}(:[0-9]{1,6})?", fullmatch=True)
    | st.text(max_size=40),
    st.integers(0, 70_000),
)
def test_no_name_can_be_read_as_an_address(host: str, port: int) -> None:
    """By the resolver of this host; and what is read says the same when it is written."""
    try:
        found = read_destination(f"{host}:{port}")
    except ValueError:
        return
    assert read_destination(str(found)) == found
    assert found.host.isascii()
    if found.address is None:
        with pytest.raises(socket.gaierror):
            socket.getaddrinfo(found.host, None, flags=socket.AI_NUMERICHOST)
    else:
        assert str(found.address) == found.host


GOOD = b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"


@pytest.fixture
async def turns() -> AsyncIterator[TurnQueue]:
    """The turns of an agent that is alone."""
    async with taking_turns() as turns:
        yield turns


async def read(turns: TurnQueue, *pieces: bytes, ends: bool = True) -> tuple[str, bytes] | None:
    """What is read of these pieces."""
    ours, theirs = trio.socket.socketpair()
    found: tuple[str, bytes] | BadHead | None = None

    async def listen(stream: trio.SocketStream) -> None:
        nonlocal found
        try:
            head = await read_head(stream, turns)
            found = None if head is None else (str(head[0]), head[1])
        except BadHead as bad:
            found = bad

    with theirs:
        async with trio.SocketStream(ours) as stream, trio.open_nursery() as nursery:
            nursery.start_soon(listen, stream)
            for piece in pieces:
                await theirs.send(piece)
                if len(pieces) > 1:
                    await wait_all_tasks_blocked()
            if ends:
                theirs.shutdown(socket.SHUT_WR)
    if isinstance(found, BadHead):
        raise found
    return found


@pytest.mark.parametrize(
    "head",
    [
        GOOD,
        b"CONNECT EXAMPLE.com:443 HTTP/1.1\r\nHost: other\r\nProxy-Authorization: Basic x\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.0\r\n\r\n",
    ],
)
async def test_a_destination_is_read(turns: TurnQueue, head: bytes) -> None:
    """At once, or a byte at a time; only the first line says which."""
    assert await read(turns, head) == ("example.com:443", b"")
    assert await read(turns, *(head[at : at + 1] for at in range(len(head)))) == (
        "example.com:443",
        b"",
    )


async def test_what_follows_is_kept_as_it_is(turns: TurnQueue) -> None:
    """Another request too: it is the destination's."""
    behind = b"\x16\x03\x01\x00" + GOOD + b"\xff"
    assert await read(turns, GOOD + behind, ends=False) == ("example.com:443", behind)


async def test_a_connection_without_a_word_asks_for_nothing(turns: TurnQueue) -> None:
    """It is no fault."""
    assert await read(turns) is None


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 405),
        (b"connect example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 405),
        (GOOD[:-2] + b"Content-Length: 5\r\n\r\nhello", 400),
        (GOOD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (GOOD[:-2] + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n", 400),
        (b"CONNECT example.com:443 HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT example.com:443 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"CONNECT example.com:443\r\n\r\n", 400),
        (b"CONNECT  example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT example.com:443 x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT example.com\x00:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT ex\xc3\xa4mple.com:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT https://example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT /example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT u@example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT example.com HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (GOOD[:-2] + b" folded\r\nX : y\r\n\r\n", 400),
        (GOOD[:-2] + b"X: \x00\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 40, 400),
        (b"\x05\x01\x00", 400),
        (GOOD[:-10], 400),
        (GOOD[:-2] + b"X: " + b"x" * MAX_HEAD_BYTES, 431),
        (b"CONNECT " + b"x" * MAX_HEAD_BYTES, 431),
    ],
)
async def test_anything_else_is_refused(turns: TurnQueue, head: bytes, status: int) -> None:
    """With a status, and words of the daemon's own."""
    with pytest.raises(BadHead) as refused:
        await read(turns, head)
    assert refused.value.status == status
    assert refused.value.hint
    assert refused.value.message.isprintable()


async def test_a_head_that_comes_slowly_is_refused(
    turns: TurnQueue, autojump_clock: MockClock
) -> None:
    """However many pieces come in time."""
    began = trio.current_time()
    with pytest.raises(BadHead) as refused:
        await read(turns, GOOD[:20], ends=False)
    assert refused.value.status == 408
    assert trio.current_time() - began == HEAD_S


def test_a_refusal_is_one_line_in_which_nothing_can_be_forged() -> None:
    """Not even by a name of the human's."""
    said = refusal(HTTPStatus.FORBIDDEN, "x is not granted; see /home/m\u00fc\u202e/x.toml")
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"HTTP/1.1 403 " + body.rstrip(b"\n")
    assert body == b"airlock: x is not granted; see /home/m\\xfc\\u202e/x.toml\n"
    assert f"Content-Length: {len(body)}".encode() in head.splitlines()
