"""What a server says first over HTTP (gitprotocol-http(5), "Smart Server Response")."""

from typing import Literal

from airlock_modules.remotes.errors import RemoteError
from airlock_modules.remotes.pkt_line import PacketReader
from airlock_modules.remotes.ssh_words import Service

# Bytes: a packet that says which service it is, a flush, and the first packet of the rest.
_MOST = 1 << 18
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
        self._packets = PacketReader(most=_MOST, what="the answer of the server")
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
