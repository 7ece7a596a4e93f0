"""Which address a destination is reached by, of those that a resolver says."""

import base64
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress

import pytest
import trio
from egress_world import Echo, run_echo

from airlock_daemon.boundary.brokers.egress.destinations import (
    MAX_NAMES,
    Routes,
    World,
    read_destination,
    read_network,
)
from airlock_daemon.errors import Denied, Failed

MODULE = "/etc/module.toml"


class Names:
    """Names as a resolver answers to them, one answer after the other, the last for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self._look)

    def _look(self, host: str, *_: object, **__: object) -> object:
        self.asked.append(host)
        answers = self.answers.get(host)
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0)) for each in found]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """What names lead to here; none of them would be found elsewhere."""
    return Names(monkeypatch)


@pytest.fixture
def echo() -> Iterator[Echo]:
    """A server that can be reached."""
    with run_echo() as echo:
        yield echo


def ways(*network: str, variables: Mapping[str, str] = {}) -> Routes:
    """The ways of a command whose module names this. One lookup is answered after the other."""
    setting = f"[sandbox] network of {MODULE}"
    world = World(variables=variables, lookups=trio.CapacityLimiter(1), setting=setting)
    return Routes(read_network(network), world)


async def open_way(opened: Routes, target: str) -> bytes:
    """What a server there says to `hello`."""
    stream, early = await opened.open(read_destination(target))
    async with stream:
        await stream.send_all(b"hello")
        return early + bytes(await stream.receive_some())


async def test_an_address_that_was_found_is_kept(names: Names, echo: Echo) -> None:
    """What the resolver says later, to the same command, is not asked for."""
    names.answers["a.test"] = [["127.0.0.1"], ["127.0.0.2"]]
    opened = ways(f"a.test:{echo.port}", f"a.test:{echo.port + 1}")
    for _ in range(2):
        assert await open_way(opened, f"A.test:{echo.port}") == b"hello"
    with pytest.raises(Failed, match="refused"):
        await open_way(opened, f"a.test:{echo.port + 1}")
    assert names.asked == ["a.test"]


async def test_of_two_lookups_at_once_the_first_answer_counts(names: Names, echo: Echo) -> None:
    """For the second one too."""
    names.answers["a.test"] = [["127.0.0.1"], ["127.0.0.2"]]
    opened = ways(f"a.test:{echo.port}")
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(open_way, opened, f"a.test:{echo.port}")
    assert names.asked == ["a.test", "a.test"]
    assert await open_way(opened, f"a.test:{echo.port}") == b"hello"


@pytest.mark.parametrize(
    "answer",
    [
        *(["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"], ["0.0.0.0"], ["192.168.1.1"]),  # noqa: S104
        ["140.82.121.4", "127.0.0.1"],
    ],
)
async def test_below_a_pattern_no_inner_address_is_reached(
    names: Names, echo: Echo, answer: list[str]
) -> None:
    """Whoever has the name says where it leads; also beside public ones."""
    names.answers["x.a.test"] = [answer]
    with pytest.raises(Denied, match="has an address of this host or of no public network") as no:
        await open_way(ways(f"*.a.test:{echo.port}"), f"x.a.test:{echo.port}")
    assert (no.value.layer, no.value.rule) == ("broker", "address")
    assert MODULE in str(no.value.hint)
    assert echo.count == 0


async def test_a_host_that_is_named_itself_may_have_one(names: Names, echo: Echo) -> None:
    """As a registry of the human's own network has."""
    names.answers["x.a.test"] = [["127.0.0.1"]]
    opened = ways(f"*.a.test:{echo.port}", f"x.a.test:{echo.port}")
    assert await open_way(opened, f"x.a.test:{echo.port}") == b"hello"


async def test_what_is_not_granted_is_not_even_looked_up(names: Names) -> None:
    """A name could carry something out."""
    for target in ("secret.a.test:80", "secret.b.test:443", "10.0.0.1:443", "[::1]:443"):
        with pytest.raises(Denied, match="is not granted"):
            await open_way(ways("*.a.test:443", "b.test:443"), target)
    assert names.asked == []


async def test_a_command_has_so_many_names_looked_up(names: Names) -> None:
    """Of a pattern's there is no end; those that were found go on to be."""
    opened = ways("*.a.test:1")
    for number in range(MAX_NAMES + 1):
        names.answers[f"{number}.a.test"] = [["127.0.0.1"]]
        rule = "names" if number == MAX_NAMES else "address"
        with pytest.raises(Denied) as denied:
            await open_way(opened, f"{number}.a.test:1")
        assert denied.value.rule == rule
    assert len(names.asked) == MAX_NAMES


async def test_a_name_that_nobody_knows_is_told(names: Names) -> None:
    """And is asked for again, since it may be there then."""
    opened = ways("a.test:1")
    for _ in range(2):
        with pytest.raises(Failed, match=r"the host a\.test cannot be found") as failed:
            await open_way(opened, "a.test:1")
        assert str(failed.value.hint).startswith("look at its spelling; ")
    assert len(names.asked) == 2


class Proxy:
    """A human's proxy, which leads wherever `port` is and has said `early` already."""

    def __init__(self, port: int, early: bytes = b"") -> None:
        self._port = port
        self._early = early
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.heads: list[str] = []
        self.url = f"http://user:s3cret@127.0.0.1:{self.listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listening.accept()
                with connection:
                    head = b""
                    while not head.endswith(b"\r\n\r\n"):
                        head += connection.recv(1)
                    self.heads.append(head.decode())
                    connection.sendall(b"HTTP/1.1 200 ok\r\n\r\n" + self._early)
                    connection.sendall(connection.recv(100))


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    """One that runs."""
    proxy = Proxy(echo.port, b"220 ready\r\n")
    yield proxy
    proxy.listening.close()


async def test_the_humans_proxy_is_asked_with_the_humans_password(proxy: Proxy) -> None:
    """It resolves names; what the server says first is passed on."""
    opened = ways("a.test:443", "10.9.8.7:25", variables={"https_proxy": proxy.url})
    assert await open_way(opened, "a.test:443") == b"220 ready\r\nhello"
    assert await open_way(opened, "10.9.8.7:25") == b"220 ready\r\nhello"
    words = base64.b64encode(b"user:s3cret").decode()
    for head, target in zip(proxy.heads, ("a.test:443", "10.9.8.7:25"), strict=True):
        assert head.startswith(f"CONNECT {target} HTTP/1.1\r\n")
        assert f"Proxy-Authorization: Basic {words}\r\n" in head


async def test_a_proxy_gets_no_name_below_a_pattern(proxy: Proxy) -> None:
    """Where it leads to is the proxy's to say, and it may stand in the human's network."""
    opened = ways("*.a.test:443", variables={"https_proxy": proxy.url})
    with pytest.raises(Denied, match="through a proxy, which resolves names itself") as denied:
        await open_way(opened, "x.a.test:443")
    assert denied.value.rule == "proxy"
    assert proxy.heads == []


async def test_this_host_is_not_reached_through_a_proxy(proxy: Proxy, echo: Echo) -> None:
    """Nor what the human has excepted."""
    variables = {"https_proxy": proxy.url, "no_proxy": "127.0.0.0/8,b.test"}
    opened = ways(f"localhost:{echo.port}", f"127.0.0.1:{echo.port}", variables=variables)
    for host in ("localhost", "127.0.0.1"):
        assert await open_way(opened, f"{host}:{echo.port}") == b"hello"
    assert proxy.heads == []


@pytest.mark.parametrize("url", ["socks5://u:s3cret@127.0.0.1:1", "https://u:s3cret@p", "x y"])
async def test_another_kind_of_proxy_is_told_without_its_password(url: str) -> None:
    """It is not passed over: the human wants it so."""
    with pytest.raises(Failed, match="cannot be used") as failed:
        await open_way(ways("a.test:443", variables={"https_proxy": url}), "a.test:443")
    assert "s3cret" not in str(failed.value)
