"""The head of a request to the egress broker: CONNECT and a destination, and nothing else.

It is read by h11, which refuses what can be read in two ways; nothing of it goes any further.
"""

from http import HTTPStatus

import h11
import trio

from airlock_daemon.brokers.egress.destinations import Destination, read_destination
from airlock_daemon.errors import Denied
from airlock_daemon.fairness.turns import Taking

# Bytes of a head, and how long it may take to come.
MOST = 8192
HEAD_S = 10.0
_READ = 2048

CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"
"""The answer to a request that leads somewhere; what follows is the destination's."""


class BadHead(Denied):
    """A head that is refused, with a `status` of HTTP."""

    def __init__(self, message: str, status: HTTPStatus, *, hint: str) -> None:
        super().__init__(message, layer="broker", rule="request", hint=hint)
        self.status = status


async def read_head(
    connection: trio.SocketStream, turns: Taking
) -> tuple[Destination, bytes] | None:
    """The destination that is asked for, and bytes that came behind the head.

    None for a connection that is closed before anything came. Raises BadHead, and
    trio.BrokenResourceError.
    """
    talk = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST)
    try:
        with trio.fail_after(HEAD_S):
            return await _read(talk, connection, turns)
    except h11.RemoteProtocolError as error:
        raise BadHead(
            "this is no request of HTTP that can be read in one way only",
            HTTPStatus(error.error_status_hint),
            hint="send CONNECT HOST:PORT HTTP/1.1",
        ) from error
    except trio.TooSlowError:
        raise BadHead(
            f"no whole request came within {HEAD_S:g} s",
            HTTPStatus.REQUEST_TIMEOUT,
            hint="send it at once after connecting",
        ) from None


async def _read(
    talk: h11.Connection, connection: trio.SocketStream, turns: Taking
) -> tuple[Destination, bytes] | None:
    checked: Destination | None = None
    while True:
        match talk.next_event():
            case h11.Request() as request:
                checked = _check(request)
            case h11.EndOfMessage() if checked is not None:
                return checked, talk.trailing_data[0]
            case h11.ConnectionClosed():
                return None
            case _:
                data = bytes(await connection.receive_some(_READ))
                await turns.take()
                talk.receive_data(data)


def _check(request: h11.Request) -> Destination:
    """What a request asks for that is a CONNECT without a body. Raises BadHead."""
    if request.method != b"CONNECT":
        raise BadHead(
            "plain http does not pass here",
            HTTPStatus.METHOD_NOT_ALLOWED,
            hint="use https; other protocols pass by CONNECT",
        )
    if any(name in (b"content-length", b"transfer-encoding") for name, _ in request.headers):
        raise BadHead("CONNECT has no body", HTTPStatus.BAD_REQUEST, hint="send none")
    try:
        return read_destination(request.target.decode("ascii"))
    except ValueError:
        raise BadHead(
            "what CONNECT asks for is no HOST:PORT",
            HTTPStatus.BAD_REQUEST,
            hint="name a host, by its name or in the usual form of an address, and a port",
        ) from None


def refusal(status: HTTPStatus, text: str) -> bytes:
    """What is answered in the place of a connection: one line, of Airlock's own.

    It stands in the first line of the answer too, of which more tools show something.
    """
    line = f"airlock: {text}".encode("ascii", "backslashreplace").decode()
    head = [f"HTTP/1.1 {status.value} {line}", "Content-Type: text/plain"]
    head += [f"Content-Length: {len(line) + 1}", "Connection: close"]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        head.append("Allow: CONNECT")
    return "\r\n".join((*head, "", f"{line}\n")).encode()
