"""One conversation of a box with the human's docker engine: carried as it is, both ways."""

from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

import msgspec
import trio

from airlock_daemon.brokers.egress.splicing import Meter, say_last, splice
from airlock_daemon.connection.closing import Closer
from airlock_daemon.errors import AirlockError, Failed
from airlock_daemon.fairness.turns import Turns
from airlock_wire import quote

# For an engine whose queue of connections is full.
_OPEN_S = 30.0


class Carried(msgspec.Struct, frozen=True):
    """What became of it: the bytes that went to the engine and came from it, or why none did."""

    sent: int = 0
    received: int = 0
    error: AirlockError | None = None


async def converse(
    connection: trio.SocketStream,
    engine: str,
    turns: Turns,
    tell: Callable[[Carried], None],
    closer: Closer,
) -> None:
    """Hold a conversation over a connection of a box, which the caller closes.

    The socket at the path `engine` is opened by the daemon's own rights. One that says nothing for
    long is not ended: who waits for a container, or follows its log, may well do so. `tell` is
    called once when it ends, in whatever way.
    """
    meter = Meter()
    error: AirlockError | None = None
    try:
        server = await _open(engine)
        async with server:
            with suppress(trio.BrokenResourceError):
                await splice(connection, server, turns, meter, closer, idle_s=None)
    except AirlockError as failed:
        error = failed
    finally:
        tell(Carried(meter.sent, meter.received, error))
    if error is not None:
        await refuse(connection, error, turns, closer)


async def _open(engine: str) -> trio.SocketStream:
    why = f"it did not answer within {_OPEN_S:g} s"
    with trio.move_on_after(_OPEN_S):
        try:
            return await trio.open_unix_socket(engine)
        except (OSError, RuntimeError) as error:
            why = getattr(error, "strerror", None) or "no such socket"
    raise Failed(
        f"the docker engine at {quote(engine)} of the host cannot be reached: {why}",
        hint="a person on the host can start it, or let the daemon's user use its socket",
    )


async def refuse(
    connection: trio.SocketStream, error: AirlockError, turns: Turns, closer: Closer
) -> None:
    """Say why there is no engine, as one would say it: docker's client shows that."""
    text = f"airlock: {error.message}" + (f"; {error.hint}" if error.hint else "")
    body = msgspec.json.encode({"message": text})
    status = HTTPStatus.SERVICE_UNAVAILABLE
    head = [f"HTTP/1.1 {status.value} {status.phrase}", "Content-Type: application/json"]
    head += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    await say_last(connection, "\r\n".join(head).encode() + body, turns, closer)
