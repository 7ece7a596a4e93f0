"""From a host that may be asked to a stream that leads there: address, proxy, TLS."""

import os
import socket
import ssl
from collections.abc import Sequence
from functools import partial

import h11
import msgspec
import trio

from airlock_daemon.brokers.addresses import Address, resolve
from airlock_daemon.brokers.http.proxy import Proxy
from airlock_daemon.brokers.http.tls import TlsStream
from airlock_daemon.brokers.http.trust import Trust, make_context
from airlock_daemon.errors import Failed
from airlock_daemon.platform.threads import run_in_thread
from airlock_wire import quote

# For one address, and for a handshake.
CONNECT_S = 15.0
# Bytes of a proxy's answer.
_MOST = 1 << 16
_READ = 1 << 14

_HTTPS_PORT = 443


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """A server, and the way to it: `addresses` that are tried in order, or a `proxy`.

    `host` is without brackets. `trust` is None where no TLS is spoken.
    """

    host: str
    port: int
    way: tuple[Address, ...] | Proxy
    trust: Trust | None


async def connect(origin: Origin, limiter: trio.CapacityLimiter) -> trio.abc.Stream:
    """Open a stream to the server, which the caller closes.

    What takes a thread has one of `limiter`. Raises Failed where the server is not reached, or is
    not the one that its certificate must name.
    """
    stream, early = await reach(origin, limiter)
    try:
        if early:
            # Nothing was said to the server yet: it would not be the server's.
            raise _no_way(origin, "did not answer as one does")
        if origin.trust is None:
            return stream
        return await _secure(stream, origin, origin.trust, limiter)
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


async def reach(origin: Origin, limiter: trio.CapacityLimiter) -> tuple[trio.SocketStream, bytes]:
    """Open a stream to the server, before any TLS, and what came over it already by a proxy.

    Raises Failed where the server is not reached.
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
                # The text of trio's own errors names the address too.
                problem = os.strerror(error.errno) if error.errno else str(error)
        except BaseException:
            connection.close()
            raise
        else:
            # trio.SocketStream sets TCP_NODELAY: without it each request could wait for 40 ms.
            return trio.SocketStream(connection)
    raise Failed(
        f"{quote(what)} cannot be reached on port {port}: {problem}",
        hint="try again; a person on the host can see whether it is reached from there",
    )


async def _ask_proxy(stream: trio.abc.Stream, origin: Origin, proxy: Proxy) -> bytes:
    """Have the proxy lead to the server; returns what came behind its answer."""
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
