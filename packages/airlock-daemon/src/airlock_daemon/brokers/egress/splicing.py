"""Two connections as one: what comes on either goes to the other, as it is."""

from collections.abc import Callable

import trio

from airlock_daemon.fairness.turns import Turns

PIECE = 1 << 16
"""Bytes that are under way in each direction, at most."""

IDLE_S = 600.0
"""Two sides that have said nothing for so long are parted."""


class Meter:
    """How many bytes a box has `sent`, and how many it has `received`, so far."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0

    def count_sent(self, count: int) -> None:
        """So many more went out."""
        self.sent += count

    def count_received(self, count: int) -> None:
        """So many more came in."""
        self.received += count


async def splice(
    box: trio.SocketStream, server: trio.SocketStream, turns: Turns, meter: Meter
) -> None:
    """Carry bytes until both have ended what they say, one is gone, or nobody says anything.

    The end of what one says is told to the other.
    """
    with trio.CancelScope() as scope:

        def go_on() -> None:
            scope.deadline = trio.current_time() + IDLE_S

        go_on()
        async with trio.open_nursery() as nursery:
            ways = ((box, server, meter.count_sent), (server, box, meter.count_received))
            for source, target, count in ways:
                nursery.start_soon(_pour, source, target, count, go_on, turns, scope)


async def _pour(
    source: trio.SocketStream,
    target: trio.SocketStream,
    count: Callable[[int], None],
    go_on: Callable[[], None],
    turns: Turns,
    scope: trio.CancelScope,
) -> None:
    try:
        while data := await source.receive_some(PIECE):
            await turns.take()
            go_on()
            await target.send_all(data)
            count(len(data))
        await target.send_eof()
    except trio.BrokenResourceError:
        # Whoever is left would wait for what cannot come.
        scope.cancel()
