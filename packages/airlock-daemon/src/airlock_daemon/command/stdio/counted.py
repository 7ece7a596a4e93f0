"""Counting what a tool prints."""

from airlock_daemon.command.stdio.standard import Emit
from airlock_wire import Stream


class Counted:
    """An `emit` that passes everything on; `stdout` is how many bytes of that it has passed on."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.stdout = 0

    async def emit(self, stream: Stream, data: bytes) -> None:
        """Pass it on."""
        if stream == "stdout":
            self.stdout += len(data)
        await self._emit(stream, data)
