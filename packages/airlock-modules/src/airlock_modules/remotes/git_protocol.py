"""git's protocols: packets, advertisements, fetch requests, and remote helper commands.

(gitprotocol-common(5), gitprotocol-http(5), gitprotocol-v2(5), gitremote-helpers(7))
"""

import re
from typing import Literal

from msgspec import Struct

from airlock_modules.remotes.destination import Destination, RemoteError
from airlock_wire.text import quote

Service = Literal["git-upload-pack", "git-receive-pack"]
SERVICES: dict[str, Service] = {
    "git-upload-pack": "git-upload-pack",
    "git-receive-pack": "git-receive-pack",
}

FLUSH = b"0000"
# Bytes of a packet, including its length field.
MAX_PACKET = 65520

_LENGTH = 4
_DIGITS = frozenset(b"0123456789abcdef")


class RemoteRequest(Struct, frozen=True, kw_only=True):
    """One fetch or push requested by a client.

    `family` is 4 or 6 to restrict addresses to IPv4 or IPv6. With `sends_protocol` the remote is
    told the client's version of git's protocol.
    """

    destination: Destination
    service: Service
    family: Literal[4, 6] | None = None
    sends_protocol: bool = False

    @property
    def is_push(self) -> bool:
        """Whether the client may send ref updates and a pack."""
        return self.service == "git-receive-pack"


class PacketReader:
    """An incremental reader of packets.

    It accepts only what may occur in a list of refs: a flush, or a length in four lower case
    hexadecimal digits and at least one byte. `size` counts the bytes of the packets returned.
    """

    def __init__(self, *, limit: int, what: str = "a list of refs") -> None:
        """Accept at most `limit` bytes; beyond them `take` raises RemoteError.

        `what` names the data in errors.
        """
        self._most = limit
        self._what = what
        self._held = bytearray()
        self.size = 0

    @property
    def received(self) -> bytes:
        """All bytes fed, including packets already returned."""
        return bytes(self._held)

    def feed(self, data: bytes) -> None:
        """Add the next bytes."""
        self._held += data

    def take(self) -> bytes | None:
        """Return the next packet's payload, b"" for a flush, None while it is incomplete.

        Raises RemoteError for an invalid packet.
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
        if length <= _LENGTH or length > MAX_PACKET:
            raise RemoteError(f"{self._what} holds a packet of length {length}", rule="pkt-line")
        end = self.size + length
        if len(self._held) < end:
            return None
        self.size = end
        return bytes(self._held[start:end])


def frame(payload: bytes) -> bytes:
    """Return a packet. `payload` has 1 to 65516 bytes."""
    return b"%04x" % (len(payload) + _LENGTH) + payload


# Bytes of the service packet, a flush, and the first packet of the advertisement.
_MAX_ADVERTISED = 1 << 18
_VERSION_2 = b"version 2"
_ERROR = b"ERR "


class AdvertisementReader:
    """An incremental reader that turns HTTP's advertisement into that of a plain connection.

    It removes the service packet, which only HTTP has. A fetch must use version 2 of git's
    protocol: in the others a client continues from its previous message, but HTTP requests are
    independent. `is_error` says whether the server sent an error.
    """

    def __init__(self, service: Service) -> None:
        """`service` is the requested service."""
        self._service = service
        self._packets = PacketReader(limit=_MAX_ADVERTISED, what="the answer of the server")
        self._start = 0
        self.is_error = False
        self._expected: Literal["anything", "flush", "first", "nothing"] = "anything"

    def feed(self, data: bytes) -> bytes:
        """Add the next bytes; return what to forward, b"" for nothing yet. Raises RemoteError."""
        if self._expected == "nothing":
            return data
        self._packets.feed(data)
        while (packet := self._packets.take()) is not None:
            if self._expected == "anything" and packet.startswith(b"# "):
                self._expect_service(packet)
                self._expected = "flush"
            elif self._expected == "flush":
                if packet:
                    raise RemoteError("the answer of the server has no flush", rule="answer")
                self._start = self._packets.size
                self._expected = "first"
            else:
                self._expect_version(packet)
                self._expected = "nothing"
                return self._packets.received[self._start :]
        return b""

    def end(self) -> None:
        """Raise RemoteError if the answer ended before its first packet."""
        if self._expected != "nothing":
            raise RemoteError("the answer of the server was cut off", rule="answer")

    def _expect_service(self, packet: bytes) -> None:
        if packet.removesuffix(b"\n") != b"# service=" + self._service.encode():
            raise RemoteError("the server answers for another service", rule="answer")

    def _expect_version(self, packet: bytes) -> None:
        self.is_error = packet.startswith(_ERROR)
        if self._service == "git-receive-pack" or self.is_error:
            return
        if packet.removesuffix(b"\n") != _VERSION_2:
            raise RemoteError(
                "the server does not speak version 2 of git's protocol, without which nothing is "
                "fetched over https",
                rule="version",
            )


_FLUSH, _DELIMITER = 0, 1
_COMMANDS = frozenset((b"command=ls-refs", b"command=fetch", b"command=bundle-uri"))


class FetchRequestReader:
    """An incremental reader that splits a client's stream into requests.

    It buffers at most one incomplete packet. A request begins with a read-only command and ends
    with a flush. A flush alone ends the last request.
    """

    def __init__(self) -> None:
        """Start with an empty buffer."""
        self._held = b""
        self._is_begun = False
        self.is_over = False

    def feed(self, data: bytes) -> None:
        """Add the next bytes."""
        self._held += data

    def take(self) -> tuple[bytes, bool]:
        """Return the complete packets of one request, and whether the request ends with them.

        Sets `is_finished` after the last request. Raises RemoteError for an invalid request.
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
        """Signal the end of the stream. Raises RemoteError in the middle of a request."""
        if self._is_begun or self._held:
            raise RemoteError("a request of a fetch was cut off", rule="fetch")

    def _read_length(self, at: int) -> int | None:
        digits = self._held[at : at + _LENGTH]
        if not _DIGITS.issuperset(digits):
            raise RemoteError("what stands for a request of a fetch is no pkt-line", rule="fetch")
        if len(digits) < _LENGTH:
            return None
        length = int(digits, 16)
        if length not in (_FLUSH, _DELIMITER) and not _LENGTH < length <= MAX_PACKET:
            raise RemoteError(f"a fetch sends a packet of length {length}", rule="fetch")
        if length == _DELIMITER and not self._is_begun:
            raise RemoteError("a request of a fetch begins with no command", rule="fetch")
        return length

    def _expect_command(self, packet: bytes) -> None:
        if packet.removesuffix(b"\n") not in _COMMANDS:
            raise RemoteError("a request of a fetch begins with no known command", rule="fetch")
        self._is_begun = True


HelperCommand = Literal["capabilities", "option", "end"] | Service

_NAME = re.compile("git-[a-z-]{1,40}")
# Bytes of a line: longer than any option of git.
_MAX_LENGTH = 4096
# Commands: each is answered, and git sends about ten.
_MAX_COMMANDS = 200


def answer_helper(command: HelperCommand) -> bytes:
    """Return the helper's answer: the capability `connect`, `unsupported` options, or connected.

    After `connect` is answered the streams belong to the service.
    """
    return {"capabilities": b"connect\n\n", "option": b"unsupported\n", "end": b""}.get(
        command, b"\n"
    )


class HelperReader:
    """An incremental reader of commands to a remote helper.

    Do not call `take` after a service or an error. `rest` has the unread bytes.
    """

    def __init__(self) -> None:
        """Start with an empty buffer."""
        self.rest = b""
        self._count = 0

    def feed(self, data: bytes) -> None:
        """Add the next bytes."""
        self.rest += data

    def take(self) -> HelperCommand | None:
        """Return the next command, None while its line is incomplete.

        Raises RemoteError for an unknown command, a long line or too many commands.
        """
        line, newline, rest = self.rest.partition(b"\n")
        if len(line) > _MAX_LENGTH:
            raise RemoteError("a line for a remote helper is too long", rule="helper")
        if not newline:
            return None
        self.rest = rest
        self._count += 1
        if self._count > _MAX_COMMANDS:
            raise RemoteError(
                f"a remote helper is asked for more than {_MAX_COMMANDS} things", rule="helper"
            )
        return _read(line)


def _read(line: bytes) -> HelperCommand:
    if not line:
        return "end"
    if line == b"capabilities":
        return "capabilities"
    word, _, value = line.partition(b" ")
    if word == b"option" and value:
        return "option"
    text = line.decode("utf-8", "surrogateescape")
    if word != b"connect":
        raise RemoteError(f"a remote helper is asked for {quote(text, limit=80)}", rule="helper")
    name = text.partition(" ")[2]
    service = SERVICES.get(name)
    if service is None:
        shown = name if _NAME.fullmatch(name) else quote(name, limit=80)
        raise RemoteError(f"{shown} is not passed on", rule="service")
    return service
