"""Reaches a server through a proxy (CONNECT); imported where one is configured."""

import base64
import ipaddress
import re
from contextlib import suppress
from urllib.parse import unquote_to_bytes

import h11
import msgspec
import trio

from airlock_daemon.boundary.brokers.http.addresses import resolve
from airlock_daemon.boundary.brokers.http.client import CONNECT_S, connect_any
from airlock_daemon.errors import Failed
from airlock_wire import quote

# The default port of a proxy (curl(1), --proxy).
_PORT = 1080
_PROXY = re.compile(
    r"(?:(?P<scheme>[a-z0-9]+)://)?(?:(?P<user>[^@/]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?/?"
)


# Limit of a proxy's answer, in bytes.
_MAX = 1 << 16
_READ = 1 << 14


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy for CONNECT. `authorization` is the value of Proxy-Authorization, if any."""

    host: str
    port: int
    authorization: str | None

    @classmethod
    def read(cls, url: str) -> "Proxy":
        """Read a proxy's URL. Raises Failed for an unsupported kind, without its password."""
        found = _PROXY.fullmatch(url)
        if found is None or (found["scheme"] or "http") != "http":
            kind = quote(url.partition("://")[0], limit=20) if "://" in url else "what it names"
            raise Failed(
                f"the proxy of this host cannot be used: {kind} is no kind that is spoken",
                hint="a person on the host can name one like http://proxy.example.com:3128 in "
                "http.proxy of git, or in https_proxy of the daemon",
            )
        authorization = None
        if found["user"] is not None:
            user, _, password = found["user"].partition(":")
            words = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
            authorization = "Basic " + base64.b64encode(words).decode()
        port = int(found["port"] or _PORT)
        return cls(host=found["host"].strip("[]"), port=port, authorization=authorization)

    async def open_stream(
        self, host: str, port: int, limiter: trio.CapacityLimiter
    ) -> tuple[trio.SocketStream, bytes]:
        """Open a stream to a server; returns also bytes after the proxy's answer. Raises Failed."""
        addresses = await resolve(self.host, family=None, limiter=limiter)
        stream = await connect_any(addresses, self.port, f"the proxy {self.host}")
        try:
            return stream, await self._ask(stream, host, port)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise

    async def _ask(self, stream: trio.abc.Stream, host: str, port: int) -> bytes:
        """Have it connect to the server; returns the bytes after its answer."""
        target = _name(host, port)
        headers = [("Host", target)]
        if self.authorization is not None:
            headers.append(("Proxy-Authorization", self.authorization))
        talk = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX)
        said = talk.send(h11.Request(method="CONNECT", target=target, headers=headers))
        said = (said or b"") + (talk.send(h11.EndOfMessage()) or b"")
        status: int | None = None
        try:
            with trio.fail_after(CONNECT_S):
                await stream.send_all(said)
                while status is None:
                    event = talk.next_event()
                    if event is h11.NEED_DATA:
                        talk.receive_data(bytes(await stream.receive_some(_READ)))
                    elif isinstance(event, h11.Response):
                        status = event.status_code
                    elif not isinstance(event, h11.InformationalResponse):
                        status = 0
        except (h11.RemoteProtocolError, trio.BrokenResourceError, trio.TooSlowError):
            status = 0
        if 200 <= status < 300:
            return talk.trailing_data[0]
        raise self.refuse(
            host, port, f"answered {status}" if status else "did not answer as one does"
        )

    def refuse(self, host: str, port: int, why: str) -> Failed:
        """The error for a proxy that does not lead to the server."""
        return Failed(
            f"the proxy {quote(self.host)} does not lead to {quote(_name(host, port))}: it {why}",
            hint="a person on the host can look at http.proxy of git, and at https_proxy",
        )


def is_exempt(exempt: str, host: str) -> bool:
    """Whether `no_proxy` covers a host: `*`, names and their subdomains, addresses and networks."""
    name = host.strip("[]").rstrip(".").lower()
    for entry in re.split(r"[,\s]+", exempt.lower()):
        rule = entry.strip("[]").strip(".")
        if entry == "*" or (rule and (name == rule or name.endswith(f".{rule}"))):
            return True
        with suppress(ValueError):
            if ipaddress.ip_address(name) in ipaddress.ip_network(rule, strict=False):
                return True
    return False


def _name(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
