"""What a server answers, on its way to the client's git."""

from collections.abc import Awaitable, Callable

from airlock_daemon.brokers.http.answer import cut_off

_FLUSH = b"0000"


class Passing:
    """Passes an answer on as it comes, but for the flush at its end, which waits for `end`.

    git goes on to write when it has that. An answer that turns out to be none in its last bytes, or
    behind them, thus finds git reading, and not about to be ended by a broken pipe.
    `received` counts the bytes that were taken.
    """

    def __init__(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """`write` gets what is passed on."""
        self._write = write
        self.received = 0
        self._last = b""
        self._held = b""

    async def take(self, piece: bytes) -> None:
        """Take what comes next. Raises what `write` does."""
        self.received += len(piece)
        self._last = (self._last + piece)[-len(_FLUSH) :]
        # Of a flush that comes in two pieces the second is enough.
        kept = max(len(piece) - len(_FLUSH), 0) if self._last == _FLUSH else len(piece)
        ready, self._held = self._held + piece[:kept], piece[kept:]
        if ready:
            await self._write(ready)

    async def end(self) -> None:
        """The answer is whole for HTTP. Raises Failed where it is not for git, or as `take`."""
        if self._last != _FLUSH:
            # The client would wait for the rest.
            raise cut_off()
        await self._write(self._held)
