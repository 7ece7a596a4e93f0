"""Two streams as one, and a stream's last words."""

from contextlib import suppress

import trio

from airlock_daemon.brokers.http.tls import TlsStream
from airlock_daemon.fairness.turns import Taking

_PIECE = 1 << 17
# Two sides that say nothing for so long are parted; one has so long when the other has ended.
_IDLE_S = 6 * 3600.0
_HALF_S = 60.0
# How long a tool may take to read why a connection ends, and what it still sends is dropped.
_LAST_S = 2.0

_Stream = trio.abc.HalfCloseableStream
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


async def splice(
    one: _Stream,
    other: _Stream,
    said: bytes,
    answered: bytes,
    turns: Taking,
    scope: trio.CancelScope,
) -> tuple[int, int]:
    """Carry what comes on either to the other until both have ended it, or one is gone.

    Cancelling `scope`, a new one, ends it too.

    `said` has come from `one` before, and `answered` from `other`. Returns how many bytes were
    carried from each. Their owner closes them.
    """
    counts = [0, 0]

    async def pour(
        source: _Stream,
        target: _Stream,
        first: bytes,
        way: int,
    ) -> None:
        try:
            data = first or await source.receive_some(_PIECE)
            while data:
                await turns.take()
                await target.send_all(data)
                counts[way] += len(data)
                scope.deadline = trio.current_time() + _IDLE_S
                data = bytes(await source.receive_some(_PIECE))
            await target.send_eof()
        except _GONE:
            scope.cancel()
        scope.deadline = trio.current_time() + _HALF_S

    scope.deadline = trio.current_time() + _IDLE_S
    with scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pour, one, other, said, 0)
            nursery.start_soon(pour, other, one, answered, 1)
    return counts[0], counts[1]


async def say_last(stream: _Stream, said: bytes) -> None:
    """Say something before a stream is closed, within a bounded time."""
    below = stream.below if isinstance(stream, TlsStream) else stream
    with trio.move_on_after(_LAST_S), suppress(*_GONE):
        await stream.send_all(said)
        await stream.send_eof()
        # What still comes, unread, would take the answer away from a tool that has not read it.
        while await below.receive_some(_PIECE):
            pass
