"""The descriptors that the reference shim passes, and pipes for what may not be passed itself."""

import contextlib
import os

from reference_descriptors import count_unread, is_passable, is_seekable

_CHUNK = 65_536


class Relays:
    """Stands between the shim's own three descriptors and those that it passes.

    An anonymous pipe, a terminal and /dev/null pass as they are. For anything else there is a pipe,
    from or to which `attend` copies while descriptors are in use.
    """

    def __init__(self) -> None:
        self.passed: list[int] = []
        self._outputs: dict[int, int] = {}
        self._feed: tuple[int, int] | None = None
        self._pending = b""
        self._at_end = False
        made: dict[tuple[int, int], int] = {}
        for number in range(3):
            self.passed.append(number if is_passable(number) else self._interpose(number, made))

    def close(self) -> None:
        """Close all pipes, as when descriptors are not in use."""
        ours = {*self._outputs, *(self._feed or ()), *self.passed} - {0, 1, 2}
        for descriptor in ours:
            os.close(descriptor)
        self.passed, self._outputs, self._feed = [], {}, None

    def close_passed(self) -> None:
        """Close what the daemon has now, but the reading end for stdin: it tells what was read."""
        kept = {0, 1, 2, *(self._feed or ())}
        for descriptor in {*self.passed} - kept:
            os.close(descriptor)
        self.passed = []

    def readable(self) -> list[int]:
        """Return the descriptors that `attend` waits to read."""
        source = [0] if self._feed and not self._pending and not self._at_end else []
        return [*self._outputs, *source]

    def writable(self) -> list[int]:
        """Return the descriptors that `attend` waits to write."""
        return [self._feed[1]] if self._feed and self._pending else []

    def attend(self, descriptor: int) -> None:
        """Copy once from or to a descriptor that is ready."""
        if descriptor in self._outputs:
            self._copy_output(descriptor)
        elif self._feed and descriptor == 0:
            self._pending = os.read(0, _CHUNK)
            self._at_end = not self._pending
            self._write_feed()
        elif self._feed:
            self._write_feed()

    def finish(self) -> None:
        """Copy what is left when the command has ended, and put back what it did not read."""
        for descriptor in tuple(self._outputs):
            while descriptor in self._outputs and count_unread(descriptor):
                self._copy_output(descriptor)
        if self._feed and is_seekable(0):
            left = count_unread(self._feed[0]) + len(self._pending)
            os.lseek(0, -left, os.SEEK_CUR)
        self.close()

    def _interpose(self, number: int, made: dict[tuple[int, int], int]) -> int:
        theirs, ours = os.pipe()
        if number == 0:
            os.set_blocking(ours, False)
            self._feed = (theirs, ours)
            return theirs
        state = os.fstat(number)
        same = made.get((state.st_dev, state.st_ino))
        if same is not None:  # one pipe for both, so that the order between them stays
            os.close(theirs)
            os.close(ours)
            return same
        made[state.st_dev, state.st_ino] = ours
        self._outputs[theirs] = number
        return ours

    def _copy_output(self, descriptor: int) -> None:
        data = os.read(descriptor, _CHUNK)
        if not data:
            del self._outputs[descriptor]
            os.close(descriptor)
        while data:
            data = data[os.write(self._outputs[descriptor], data) :]

    def _write_feed(self) -> None:
        assert self._feed is not None
        if self._at_end:
            os.close(self._feed[1])
            self._feed = (self._feed[0], os.open(os.devnull, os.O_WRONLY))
            return
        with contextlib.suppress(BlockingIOError):
            self._pending = self._pending[os.write(self._feed[1], self._pending) :]
