"""git's protocols: frames, what a server says first, a client's requests, and a remote helper's.

(gitprotocol-common(5), gitprotocol-http(5), gitprotocol-v2(5), gitremote-helpers(7))
"""

import re
from typing import Literal

from airlock_modules.remotes.destination import RemoteError
from airlock_modules.remotes.ssh_words import SERVICES, Service
from airlock_wire.text import quote

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


# Bytes: a packet that says which service it is, a flush, and the first packet of the rest.
_MOST_ADVERTISED = 1 << 18
_VERSION_2 = b"version 2"
_ERROR = b"ERR "


class AdvertisementReader:
    """Takes an advertisement as it comes, and gives what a server says first on a connection.

    That is the same without what HTTP alone has in front. Of a fetch it must be in version 2 of
    git's protocol: in the others a client goes on from what it said before, and each request over
    HTTP stands for itself. `is_error` tells whether it is an error in the server's words.
    """

    def __init__(self, service: Service) -> None:
        """`service` is what the server was asked for."""
        self._service = service
        self._packets = PacketReader(most=_MOST_ADVERTISED, what="the answer of the server")
        self._start = 0
        self.is_error = False
        self._expected: Literal["anything", "flush", "first", "nothing"] = "anything"

    def feed(self, data: bytes) -> bytes:
        """Return what to pass on of the next bytes, b"" for nothing yet. Raises RemoteError."""
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
                return self._packets.held[self._start :]
        return b""

    def end(self) -> None:
        """Raise RemoteError where the answer ended before it said anything."""
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


HelperCommand = Literal["capabilities", "option", "end"] | Service

_NAME = re.compile("git-[a-z-]{1,40}")
# Bytes of a line: more than any option that git has.
_LONGEST = 4096
# Commands: each is answered, and git says some ten of them.
_MOST_COMMANDS = 200


def answer_helper(command: HelperCommand) -> bytes:
    """What a helper says: that it can connect, that it has no options, and that it is connected.

    After the last the streams are those of the service.
    """
    return {"capabilities": b"connect\n\n", "option": b"unsupported\n", "end": b""}.get(
        command, b"\n"
    )


class HelperReader:
    """Takes bytes as they come, and gives one command after the other.

    Not to be asked any further after a service or an error. `rest` is what was not read.
    """

    def __init__(self) -> None:
        """Begin before the first byte."""
        self.rest = b""
        self._count = 0

    def feed(self, data: bytes) -> None:
        """Take what comes next."""
        self.rest += data

    def take(self) -> HelperCommand | None:
        """The next command, None where its line is not whole.

        Raises RemoteError for any other, and for more than git has to say.
        """
        line, newline, rest = self.rest.partition(b"\n")
        if len(line) > _LONGEST:
            raise RemoteError("a line for a remote helper is too long", rule="helper")
        if not newline:
            return None
        self.rest = rest
        self._count += 1
        if self._count > _MOST_COMMANDS:
            raise RemoteError(
                f"a remote helper is asked for more than {_MOST_COMMANDS} things", rule="helper"
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
