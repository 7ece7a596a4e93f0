"""One conversation of a box with a destination: asked for by CONNECT, or named by its listener."""

from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

import msgspec
import trio

from airlock_daemon.brokers.egress.destinations import Destination
from airlock_daemon.brokers.egress.head import CONNECTED, BadHead, read_head, refusal
from airlock_daemon.brokers.egress.reaching import Ways
from airlock_daemon.brokers.egress.splicing import Meter, say_last, splice
from airlock_daemon.connection.closing import Closer
from airlock_daemon.errors import AirlockError, Denied
from airlock_daemon.fairness.turns import Turns


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a conversation: `wanted` as it was understood, None where it was not, why
    there was none, and the bytes that went either way.
    """

    wanted: Destination | None
    error: AirlockError | None = None
    sent: int = 0
    received: int = 0


async def converse(
    connection: trio.SocketStream,
    ways: Ways,
    turns: Turns,
    tell: Callable[[Reached], None],
    closer: Closer,
    *,
    named: Destination | None = None,
) -> None:
    """Hold a conversation over a connection of a box, which the caller closes.

    Where it is not `named`, HTTP says which destination is wanted. `tell` is called once when it
    ends, in whatever way, unless nothing was asked for.
    """
    try:
        asked = (named, b"") if named is not None else await read_head(connection, turns)
    except BadHead as bad:
        tell(Reached(wanted=None, error=bad))
        await refuse(connection, bad, bad.status, turns, closer)
        return
    except trio.BrokenResourceError:
        return
    if asked is None:
        return
    wanted, behind = asked
    answer = CONNECTED if named is None else b""
    meter = Meter()
    error: AirlockError | None = None
    try:
        server, early = await ways.open(wanted)
        async with server:
            with suppress(trio.BrokenResourceError):
                await connection.send_all(answer + early)
                meter.count_received(len(early))
                await server.send_all(behind)
                meter.count_sent(len(behind))
                await splice(connection, server, turns, meter, closer)
    except AirlockError as refused:
        error = refused
    finally:
        tell(Reached(wanted=wanted, error=error, sent=meter.sent, received=meter.received))
    if error is not None and named is None:
        is_denied = isinstance(error, Denied)
        status = HTTPStatus.FORBIDDEN if is_denied else HTTPStatus.BAD_GATEWAY
        await refuse(connection, error, status, turns, closer)


async def refuse(
    connection: trio.SocketStream,
    error: AirlockError,
    status: HTTPStatus,
    turns: Turns,
    closer: Closer,
) -> None:
    """Say in HTTP why there is no connection, within a bounded time."""
    text = f"{error.message}; {error.hint}" if error.hint else error.message
    await say_last(connection, refusal(status, text), turns, closer)
