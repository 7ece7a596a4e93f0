"""A fake tool, with the descriptors passed to the daemon."""

import os
import select
from typing import Self

# So that a broken shim fails a test instead of hanging it.
PATIENCE_S = 20


class Tool:
    """A tool with the shim's descriptors; leaving the context ends it."""

    def __init__(self, *descriptors: int) -> None:
        """Take ownership of stdin, stdout and stderr."""
        self.stdin, self.stdout, self.stderr = descriptors
        self._open = set(descriptors)

    def __enter__(self) -> Self:
        """Return the running tool."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what is still open."""
        for descriptor in set(self._open):
            self.close(descriptor)

    def read(self, count: int) -> bytes:
        """The next `count` bytes of stdin, fewer at its end."""
        received = b""
        while len(received) < count:
            assert select.select([self.stdin], [], [], PATIENCE_S)[0], "stdin does not come"
            piece = os.read(self.stdin, count - len(received))
            if not piece:
                break
            received += piece
        return received

    def write(self, data: bytes, stream: str = "stdout") -> None:
        """Write all of `data`."""
        descriptor = self.stdout if stream == "stdout" else self.stderr
        while data:
            data = data[os.write(descriptor, data) :]

    def close(self, descriptor: int) -> None:
        """Close one of them."""
        self._open.discard(descriptor)
        os.close(descriptor)
