"""pkt-lines, the frames of git's protocols (gitprotocol-common(5))."""

from airlock_modules.remotes.errors import RemoteError

FLUSH = b"0000"
# Bytes of a packet, its length included.
MOST = 65520

_LENGTH = 4
_DIGITS = frozenset(b"0123456789abcdef")


class PacketReader:
    """Takes bytes as they come, and gives the payload of one packet after the other.

    Only what every packet of a list of refs may be is taken: a flush, or a length in four lower
    case hexadecimal digits and at least one byte. `size` counts the bytes of the packets given.
    """

    def __init__(self, *, most: int, what: str = "a list of refs") -> None:
        """Hold at most `most` bytes; beyond them `take` raises RemoteError.

        `what` is what they are of, for the text of errors.
        """
        self._most = most
        self._what = what
        self._held = bytearray()
        self.size = 0

    @property
    def held(self) -> bytes:
        """Everything that was fed, packets that were given too."""
        return bytes(self._held)

    def feed(self, data: bytes) -> None:
        """Take what comes next."""
        self._held += data

    def take(self) -> bytes | None:
        """The payload of the next packet, b"" for a flush, None where it is not whole yet.

        Raises RemoteError for what is no such packet.
        """
        if self.size > self._most:
            raise RemoteError(f"{self._what} has more than {self._most} bytes", rule="size")
        start = self.size + _LENGTH
        if len(self._held) < start:
            return None
        digits = bytes(self._held[self.size : start])
        if not _DIGITS.issuperset(digits):
            raise RemoteError(f"what stands for {self._what} is no pkt-line", rule="pkt-line")
        length = int(digits, 16)
        if length == 0:
            self.size = start
            return b""
        if length <= _LENGTH or length > MOST:
            raise RemoteError(f"{self._what} holds a packet of length {length}", rule="pkt-line")
        end = self.size + length
        if len(self._held) < end:
            return None
        self.size = end
        return bytes(self._held[start:end])


def frame(payload: bytes) -> bytes:
    """One packet. `payload` has at most 65516 bytes, and one at least."""
    return b"%04x" % (len(payload) + _LENGTH) + payload
