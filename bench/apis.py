"""An API behind TLS on this machine, three ways to reach it, and its clients.

``python -m bench.apis CERTIFICATE`` serves until its stdin ends, and prints the port;
``python -m bench.apis --load FILE COUNT`` keeps COUNT clients downloading by the way in FILE.
"""

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.errors import BenchError

_PIECE = 1 << 18
_STREAM = 32 << 20
"""Bytes per answer of a load."""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """How a client reaches the API at `port`: through a broker's socket, or directly if None.

    `authorities` is the file of CAs that it trusts, `token` its credential or placeholder.
    """

    port: int
    broker: str | None
    authorities: str
    token: str

    def connect(self) -> "Client":
        """Return a new client, connected and after its handshake."""
        return Client(self)


class Client:
    """One connection to the API."""

    def __init__(self, way: Way) -> None:
        self._name = f"localhost:{way.port}"
        self._token = way.token
        if way.broker is None:
            below = socket.create_connection(("127.0.0.1", way.port))
            below.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            below = socket.socket(socket.AF_UNIX)
            below.connect(way.broker)
            below.sendall(f"CONNECT {self._name} HTTP/1.1\r\nHost: {self._name}\r\n\r\n".encode())
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                answer += below.recv(1) or _cut_off(answer)
            if b" 200 " not in answer:
                raise BenchError(f"the broker says {answer.decode()!r}")
        context = ssl.create_default_context(cafile=way.authorities)
        context.set_alpn_protocols(["http/1.1"])
        self._socket = context.wrap_socket(below, server_hostname="localhost")
        self._room = bytearray(_PIECE)

    def ask(self, size: int = 2) -> float:
        """Request an answer of so many bytes; return the seconds it took."""
        began = time.perf_counter()
        self._socket.sendall(self._head(f"GET /{size}", ""))
        self._read_answer(size)
        return time.perf_counter() - began

    def send(self, size: int) -> float:
        """Send a body of so many bytes and read a small answer; return the seconds it took."""
        began = time.perf_counter()
        self._socket.sendall(self._head("PUT /2", f"Content-Length: {size}\r\n"))
        piece, left = memoryview(self._room), size
        while left:
            left -= self._socket.send(piece[:left])
        self._read_answer(2)
        return time.perf_counter() - began

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _head(self, line: str, more: str) -> bytes:
        fields = f"Host: {self._name}\r\nAccept: */*\r\nUser-Agent: bench\r\n{more}"
        return f"{line} HTTP/1.1\r\n{fields}Authorization: Bearer {self._token}\r\n\r\n".encode()

    def _read_answer(self, size: int) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._socket.recv(_PIECE) or _cut_off(data)
        head, _, rest = data.partition(b"\r\n\r\n")
        if b" 200 " not in head:
            raise BenchError(f"the answer is {head.decode('latin-1')!r}")
        left = size - len(rest)
        while left > 0:
            left -= self._socket.recv_into(self._room) or len(_cut_off(head))


def _cut_off(data: bytes) -> bytes:
    raise BenchError(f"a connection ended behind {data[:200]!r}")


def make_certificate(folder: Path) -> Path:
    """Create a file with a key and a self-signed certificate for localhost."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    done = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext"),
            *("subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"openssl makes no certificate: {done.stderr.strip()}")
    both = folder / "both.pem"
    both.write_text(key.read_text() + certificate.read_text())
    return both


@contextlib.contextmanager
def serving(certificate: Path) -> Iterator[int]:
    """Serve the API in a separate process; yields its port."""
    with _process(str(certificate)) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchError("the API's server does not serve")
        yield int(line)


@contextlib.contextmanager
def loading(way: Way, folder: Path, *, count: int) -> Iterator[None]:
    """Keep clients downloading by a way; the block starts once all have begun."""
    file = folder / "load.json"
    file.write_bytes(msgspec.json.encode(way))
    with _process("--load", str(file), str(count)) as process:
        assert process.stdout is not None
        for _ in range(count):
            if not process.stdout.readline():
                raise BenchError("a client of the load has ended")
        yield
        if process.poll() is not None:
            raise BenchError("the load has ended before what was measured beside it")


@contextlib.contextmanager
def _process(*words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "bench.apis", *words],
        cwd=Path(__file__).resolve().parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C goes to us; we then end it.
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _serve(certificate: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(listener.getsockname()[1], flush=True)

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            words = (context, connection)
            threading.Thread(target=_answer_all, args=words, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


def _answer_all(context: ssl.SSLContext, below: socket.socket) -> None:
    room = bytearray(_PIECE)
    with contextlib.suppress(OSError), context.wrap_socket(below, server_side=True) as connection:
        while True:
            data = b""
            while b"\r\n\r\n" not in data:
                piece = connection.recv(_PIECE)
                if not piece:
                    return
                data += piece
            head, _, rest = data.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").lower().split("\r\n")
            fields = dict(line.partition(": ")[::2] for line in lines[1:])
            left = int(fields.get("content-length", 0)) - len(rest)
            while left > 0:
                got = connection.recv_into(room)
                if not got:
                    return
                left -= got
            size = int(lines[0].split(" ")[1].removeprefix("/"))
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
            zeros = memoryview(room)
            while size:
                size -= connection.send(zeros[:size])


def _load(file: str, count: int) -> None:
    way = msgspec.json.decode(Path(file).read_bytes(), type=Way)

    def download() -> None:
        with contextlib.closing(way.connect()) as client:
            client.ask()
            print("begun", flush=True)
            while True:
                client.ask(_STREAM)

    for _ in range(count):
        threading.Thread(target=download, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    if sys.argv[1] == "--load":
        _load(sys.argv[2], int(sys.argv[3]))
    else:
        _serve(sys.argv[1])
