"""A client's requests in version 2 of git's protocol (gitprotocol-v2(5)), and where each ends."""

from airlock_modules.remotes.errors import RemoteError
from airlock_modules.remotes.pkt_line import MOST

_LENGTH = 4
_FLUSH, _DELIMITER = 0, 1
_DIGITS = frozenset(b"0123456789abcdef")
_COMMANDS = frozenset((b"command=ls-refs", b"command=fetch", b"command=bundle-uri"))


class FetchRequestReader:
    """Cuts what a client writes into requests, as it comes, and holds no more than one packet.

    A request begins with a command that only reads, and ends with a flush. A flush alone says that
    there is no other one.
    """

    def __init__(self) -> None:
        """Begin before the first byte."""
        self._held = b""
        self._is_begun = False
        self.is_over = False

    def feed(self, data: bytes) -> None:
        """Take what comes next."""
        self._held += data

    def take(self) -> tuple[bytes, bool]:
        """The whole packets of one request that have come, and whether it ends with them.

        Raises RemoteError for what is no such request. `is_over` says that the last one has ended.
        """
        end, is_whole = 0, False
        while not is_whole:
            length = self._read_length(end)
            if length is None or len(self._held) < end + max(length, _LENGTH):
                break
            if length == _FLUSH:
                is_whole = True
                self.is_over = not self._is_begun
            elif not self._is_begun:
                self._expect_command(self._held[end + _LENGTH : end + length])
            end += max(length, _LENGTH)
        taken, self._held = self._held[:end], self._held[end:]
        self._is_begun = (self._is_begun or bool(taken)) and not is_whole
        return taken, is_whole

    def end(self) -> None:
        """Say that nothing more comes. Raises RemoteError in the middle of a request."""
        if self._is_begun or self._held:
            raise RemoteError("a request of a fetch was cut off", rule="fetch")

    def _read_length(self, at: int) -> int | None:
        digits = self._held[at : at + _LENGTH]
        if not _DIGITS.issuperset(digits):
            raise RemoteError("what stands for a request of a fetch is no pkt-line", rule="fetch")
        if len(digits) < _LENGTH:
            return None
        length = int(digits, 16)
        if length not in (_FLUSH, _DELIMITER) and not _LENGTH < length <= MOST:
            raise RemoteError(f"a fetch sends a packet of length {length}", rule="fetch")
        if length == _DELIMITER and not self._is_begun:
            raise RemoteError("a request of a fetch begins with no command", rule="fetch")
        return length

    def _expect_command(self, packet: bytes) -> None:
        if packet.removesuffix(b"\n") not in _COMMANDS:
            raise RemoteError("a request of a fetch begins with no known command", rule="fetch")
        self._is_begun = True
