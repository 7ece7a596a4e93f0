"""A proxy of the human's, which leads to this host by any name below .proxied.test, or lies.

What it does is chosen by the name that it is asked for. It leaves a trace of whoever asks for
another place, or tells it anything beside that and its own account.
"""

import base64
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import NamedTuple

_GO = b"HTTP/1.1 200 Go\r\n\r\n"
_TURNS: Mapping[bytes, bytes] = {b"\x1b": b"escape", b"\xe2\x80\xae": b"bidi", b"\x9b": b"c1"}
_MAX = 1 << 16


class Lie(NamedTuple):
    """What is said to whoever asks, and the name of the server that it is then led to, if any."""

    says: bytes
    leads_to: str = ""


def _refuse(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = (f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", "")
    return "\r\n".join(lines).encode() + body


LIES: Mapping[str, Lie] = {
    "impostor": Lie(_GO, "impostor"),
    "plain": Lie(_GO, "plain"),
    "early": Lie(_GO + b"HTTP/1.1 200 OK\r\n\r\n<word>", "web"),
    "body": Lie(_refuse("200 Go", body=b"<word>"), "web"),
    "chunks": Lie(b"HTTP/1.1 200 Go\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n<word>", "web"),
    "created": Lie(_refuse("201 Made", body=b"<word>")),
    "wants": Lie(_refuse("407 Who", 'Proxy-Authenticate: Basic realm="x"')),
    "wants-other": Lie(_refuse("407 Who", "Proxy-Authenticate: Negotiate")),
    "asks": Lie(_refuse("401 Who", 'WWW-Authenticate: Basic realm="x"')),
    "sends-on": Lie(_refuse("302 Moved", "Location: https://127.0.0.1:<web>/secret.git")),
    "sends-back": Lie(_refuse("305 Use", "Location: http://127.0.0.1:<plain>/")),
    "switches": Lie(b"HTTP/1.1 101 No\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"),
    "first-words": Lie(b"HTTP/1.1 100 No\r\n\r\n" * 50),
    "long": Lie(b"HTTP/1.1 200 Go\r\n" + b"X: " + b"x" * (1 << 20)),
    "half": Lie(b"HTTP/1.1 2"),
    "nothing": Lie(b""),
    "another": Lie(b"SSH-2.0-x\r\n"),
    **{
        f"says-{name.decode()}": Lie(
            _refuse("502 No", "Content-Type: text/plain", body=b"a" + mark + b"[2J<word>")
        )
        for mark, name in _TURNS.items()
    },
    "reason": Lie(b"HTTP/1.1 502 a\xe2\x80\xaeb\x9b2J\r\nContent-Length: 0\r\n\r\n"),
}
"""By the names that stand before .proxied.test; any other leads to the server of the grants."""


class Proxy(ThreadingTCPServer):
    """A proxy at `port` of 127.0.0.1. Before `show` it leads nowhere."""

    daemon_threads = True

    def __init__(self, proof: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._proof = proof
        self.port: int = self.server_address[1]
        self.account = ""
        self.ports: Mapping[str, int] = {}
        self.fill: Callable[[bytes], bytes] = bytes

    def show(
        self, account: str, *, ports: Mapping[str, int], fill: Callable[[bytes], bytes]
    ) -> None:
        """Expect that account (USER:PASSWORD), and lead to these servers; `fill` fills answers."""
        self.account = base64.b64encode(account.encode()).decode()
        self.ports, self.fill = ports, fill

    def expects(self, target: str) -> bytes:
        """All that it is to be told by who wants to get to a host and port."""
        return (
            f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
            f"Proxy-Authorization: Basic {self.account}\r\n\r\n"
        ).encode()

    def note(self, what: str) -> None:
        """Leave a trace of what somebody asked."""
        (self._proof / what).touch()


class _Handler(StreamRequestHandler):
    server: Proxy

    def handle(self) -> None:
        """Answer one who asks, and lead him on."""
        with suppress(OSError, ValueError):
            self._handle()

    def _handle(self) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n") and len(head) < _MAX:
            line = self.rfile.readline(_MAX)
            if not line:
                break
            head += line
        proxy = self.server
        target = head.split(b" ")[1].decode("latin-1") if head.count(b" ") > 1 else ""
        host, _, port = target.rpartition(":")
        if head != proxy.expects(target):
            proxy.note("told-a-proxy-more")
        if not host.lower().endswith(".proxied.test") or int(port) not in proxy.ports.values():
            proxy.note("asked-a-proxy-for-another-place")
            return
        lie = LIES.get(host.lower().removesuffix(".proxied.test"), Lie(_GO, "web"))
        self.wfile.write(proxy.fill(lie.says))
        if lie.leads_to:
            self._lead(proxy.ports[lie.leads_to])

    def _lead(self, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as server:
            back = threading.Thread(target=_carry, args=(server, self.connection), daemon=True)
            back.start()
            _carry(self.connection, server)
            back.join()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_MAX):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
