"""The daemon's end of one connection, for the reference daemon."""

import os
import socket

_CHUNK = 65_536
_MAX_DESCRIPTORS = 253
MAX_QUEUED = 1_048_576


class Channel:
    """One connection. `descriptors` rode on its first byte; `strays` says whether others came.

    Messages are queued, so that a client that does not read holds up its own command and not the
    reading of what it sends.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.descriptors: list[int] = []
        self.strays = False
        self.ended = False
        self._received = bytearray()
        self._queued = bytearray()
        self._began = False

    def close(self) -> None:
        """Close the connection and what came with it."""
        self.close_descriptors()
        self.connection.close()

    def close_descriptors(self) -> None:
        """Close the descriptors of the first byte."""
        while self.descriptors:
            os.close(self.descriptors.pop())

    @property
    def buffered(self) -> int:
        """How many bytes wait for their newline."""
        return len(self._received)

    @property
    def queued(self) -> int:
        """How many bytes the client has not taken yet."""
        return len(self._queued)

    def receive(self) -> bool:
        """Read once; return whether the client has more to say. `OSError` if it is gone."""
        size = _CHUNK if self._began else 1
        data, descriptors, _, _ = socket.recv_fds(self.connection, size, _MAX_DESCRIPTORS)
        if self._began:
            self.strays = self.strays or bool(descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
        else:
            self.descriptors = descriptors
        self._began = True
        self._received += data
        self.ended = not data
        return bool(data)

    def next_line(self) -> bytes | None:
        """Return the next whole line that was received, without its newline; None if there is none.

        What follows the line stays for the next call.
        """
        line, newline, rest = self._received.partition(b"\n")
        if not newline:
            return None
        self._received = rest
        return bytes(line)

    def drop_received(self) -> None:
        """Forget what was received and not used."""
        self._received.clear()

    def queue(self, data: bytes) -> None:
        """Queue data for the client."""
        self._queued += data

    def flush(self, *, blocking: bool = True) -> None:
        """Send what is queued: all of it, or as much as the client takes at once."""
        flags = 0 if blocking else socket.MSG_DONTWAIT
        while self._queued:
            try:
                sent = self.connection.send(self._queued, flags)
            except BlockingIOError:
                return
            del self._queued[:sent]
