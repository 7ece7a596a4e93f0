"""Opens a stream to a server: address, proxy, TLS."""

import base64
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from urllib.parse import unquote_to_bytes

import h11
import msgspec
import trio

from airlock_daemon.boundary.brokers.addresses import Address, resolve
from airlock_daemon.boundary.brokers.http.tls import TlsStream, Trust, make_context
from airlock_daemon.errors import Failed
from airlock_daemon.platform.threads import run_in_thread
from airlock_wire import quote

# The default port of a proxy (curl(1), --proxy).
_PORT = 1080
_PROXY = re.compile(
    r"(?:(?P<scheme>[a-z0-9]+)://)?(?:(?P<user>[^@/]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?/?"
)


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy for CONNECT. `authorization` is the value of Proxy-Authorization, if any."""

    host: str
    port: int
    authorization: str | None


def find_proxy(
    configured: str | None, variables: Mapping[str, str], *, scheme: str, host: str
) -> Proxy | None:
    """Find the proxy for a host, None if it is reached directly.

    `configured` is git's `http.proxy` for the URL, None if unset; "" means no proxy. Raises Failed
    for an unsupported kind of proxy, without quoting its password.
    """
    url = configured
    for name in _names(scheme):
        url = variables.get(name) if url is None else url
    exempt = variables.get("no_proxy", variables.get("NO_PROXY", ""))
    if not url or is_exempt(exempt, host):
        return None
    return _read(url)


def _names(scheme: str) -> tuple[str, ...]:
    # curl ignores HTTP_PROXY: in CGI it is a header of the client.
    upper = ("HTTPS_PROXY",) if scheme == "https" else ()
    return (f"{scheme}_proxy", *upper, "all_proxy", "ALL_PROXY")


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


def _read(url: str) -> Proxy:
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
    return Proxy(host=found["host"].strip("[]"), port=port, authorization=authorization)


# For one address, and for a handshake, in seconds.
CONNECT_S = 15.0
# Limit of a proxy's answer, in bytes.
_MOST = 1 << 16
_READ = 1 << 14

_HTTPS_PORT = 443


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """A server, and the route to it: `addresses`, tried in order, or a `Proxy`.

    `host` has no brackets. `trust` is None without TLS.
    """

    host: str
    port: int
    way: tuple[Address, ...] | Proxy
    trust: Trust | None


async def connect(origin: Origin, limiter: trio.CapacityLimiter) -> trio.abc.Stream:
    """Open a stream to the server, which the caller closes.

    Threads come from `limiter`. Raises Failed if the server cannot be reached or its certificate
    does not match.
    """
    stream, early = await reach(origin, limiter)
    try:
        if early:
            # The server has received nothing yet, so these bytes are not its own.
            raise _no_way(origin, "did not answer as one does")
        if origin.trust is None:
            return stream
        return await _secure(stream, origin, origin.trust, limiter)
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


async def reach(origin: Origin, limiter: trio.CapacityLimiter) -> tuple[trio.SocketStream, bytes]:
    """Open a stream to the server, before TLS; returns also bytes after a proxy's answer.

    Raises Failed if the server cannot be reached.
    """
    stream = await _open(origin, limiter)
    if not isinstance(origin.way, Proxy):
        return stream, b""
    try:
        return stream, await _ask_proxy(stream, origin, origin.way)
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


async def _open(origin: Origin, limiter: trio.CapacityLimiter) -> trio.SocketStream:
    if isinstance(origin.way, Proxy):
        proxy = origin.way
        addresses = await resolve(proxy.host, family=None, limiter=limiter)
        return await _connect_any(addresses, proxy.port, f"the proxy {proxy.host}")
    return await _connect_any(origin.way, origin.port, origin.host)


async def _connect_any(addresses: Sequence[Address], port: int, what: str) -> trio.SocketStream:
    problem = "it has no address"
    for address in addresses:
        kind = socket.AF_INET if address.version == 4 else socket.AF_INET6
        connection = trio.socket.socket(kind, socket.SOCK_STREAM)
        try:
            with trio.fail_after(CONNECT_S):
                await connection.connect((str(address), port))
        except (OSError, trio.TooSlowError) as error:
            connection.close()
            problem = "no answer in time"
            if isinstance(error, OSError):
                # The text of trio's own errors also has the address.
                problem = os.strerror(error.errno) if error.errno else str(error)
        except BaseException:
            connection.close()
            raise
        else:
            # trio.SocketStream sets TCP_NODELAY, without which each request could wait for 40 ms.
            return trio.SocketStream(connection)
    raise Failed(
        f"{quote(what)} cannot be reached on port {port}: {problem}",
        hint="try again; a person on the host can see whether it is reached from there",
    )


async def _ask_proxy(stream: trio.abc.Stream, origin: Origin, proxy: Proxy) -> bytes:
    """Have the proxy connect to the server; returns the bytes after its answer."""
    target = _name(origin)
    headers = [("Host", target)]
    if proxy.authorization is not None:
        headers.append(("Proxy-Authorization", proxy.authorization))
    talk = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST)
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
    raise _no_way(origin, f"answered {status}" if status else "did not answer as one does")


def _name(origin: Origin) -> str:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return f"{host}:{origin.port}"


def _no_way(origin: Origin, why: str) -> Failed:
    proxy = origin.way.host if isinstance(origin.way, Proxy) else origin.host
    return Failed(
        f"the proxy {quote(proxy)} does not lead to {quote(_name(origin))}: it {why}",
        hint="a person on the host can look at http.proxy of git, and at https_proxy",
    )


async def _secure(
    stream: trio.SocketStream, origin: Origin, trust: Trust, limiter: trio.CapacityLimiter
) -> trio.abc.Stream:
    load = partial(make_context, trust)
    context = await run_in_thread(load, limiter=limiter)
    secured = TlsStream(stream, context, origin.host)
    try:
        with trio.fail_after(CONNECT_S):
            await secured.do_handshake()
    except (trio.BrokenResourceError, trio.TooSlowError) as error:
        raise _no_handshake(origin, trust, error.__cause__) from error
    return secured


def _no_handshake(origin: Origin, trust: Trust, cause: BaseException | None) -> Failed:
    host = quote(origin.host)
    port = "" if origin.port == _HTTPS_PORT else f":{origin.port}"
    if isinstance(cause, ssl.SSLCertVerificationError):
        waived = " (http.sslVerify = false is not heeded here)" if trust.is_waived else ""
        return Failed(
            f"the certificate of {host} is not accepted: {cause.verify_message}{waived}",
            hint="a person on the host can name the authority that signed it: git config --global "
            f"http.https://{origin.host}{port}/.sslCAInfo FILE",
        )
    why = f": {cause.reason}" if isinstance(cause, ssl.SSLError) and cause.reason else ""
    return Failed(
        f"{host} does not speak TLS on port {origin.port}{why}",
        hint="look at the URL of the remote: git remote -v",
    )
