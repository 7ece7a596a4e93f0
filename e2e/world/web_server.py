"""An HTTPS server on the loopback interface, in threads of this process."""

import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from socketserver import BaseServer
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request: `path` without its query, and "" for a missing header."""

    method: str
    path: str
    query: str
    host: str
    """The header Host."""
    account: str
    """The header Authorization."""
    accept: str
    headers: Mapping[str, str]
    """All headers, by name in lower case."""
    body: bytes
    client: str = ""
    """The common name of the client's certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgraded:
    """The answer 101 with these headers, after which `talk` takes over."""

    headers: Mapping[str, str]
    talk: Callable[[BufferedIOBase, BufferedIOBase], None]
    """Gets the client's input and output streams."""


@dataclass(frozen=True, slots=True)
class Page:
    """An HTML body."""

    text: str


@dataclass(frozen=True, slots=True)
class Bodiless:
    """An answer without a body, with these headers."""

    headers: Mapping[str, str]


Answer = tuple[int, object]
"""Status and body: a page, raw bytes, text as plain text, an iterator of bytes as an event stream
sent piece by piece, anything else but an upgrade as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServer:
    """A running server at `port` of `address` with the certificate `authority` (a PEM file)."""

    port: int
    authority: Path
    address: str = "127.0.0.1"
    asked: list[Asked] = field(default_factory=list)
    """All requests so far, oldest first."""

    @property
    def place(self) -> str:
        """Its address as HOST:PORT."""
        return f"{self.address}:{self.port}"


@contextmanager
def running_web(
    folder: Path,
    answer: Callable[[Asked], Answer],
    *,
    names: Sequence[str] = ("IP:127.0.0.1",),
    address: str = "127.0.0.1",
    port: int = 0,
    clients: Path | None = None,
) -> Iterator[WebServer]:
    """Serve the results of `answer` for the length of the context.

    `folder` gets the key and a world-readable certificate for `names`. `clients` is the CA of
    optional client certificates.
    """
    authority = folder / "authority.pem"
    context = make_context(authority, names=names)
    if clients is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(clients)
    listening = _Listening(context, answer, (address, port))
    with served(listening):
        yield WebServer(
            port=listening.port, authority=authority, address=address, asked=listening.asked
        )


class WebListening(ThreadingHTTPServer):
    """Listens at a port of `place`, with TLS if there is a context."""

    daemon_threads = True

    def __init__(
        self,
        context: ssl.SSLContext | None,
        handler: type[BaseHTTPRequestHandler],
        place: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        super().__init__(place, handler)
        self.port: int = self.server_address[1]
        self._context = context

    def finish_request(self, request: object, client_address: object) -> None:
        """Serve one connection, in its own thread."""
        with suppress(OSError):
            if self._context is None:
                super().finish_request(request, client_address)  # type: ignore[arg-type]
                return
            with self._context.wrap_socket(request, server_side=True) as secured:  # type: ignore[arg-type]
                super().finish_request(secured, client_address)


@contextmanager
def served(listening: BaseServer) -> Iterator[None]:
    """Serve in a thread for the length of the context, then close."""
    with listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            listening.shutdown()
            thread.join()


class _Listening(WebListening):
    def __init__(
        self, context: ssl.SSLContext, answer: Callable[[Asked], Answer], place: tuple[str, int]
    ) -> None:
        super().__init__(context, _Handler, place)
        self.answer = answer
        self.asked: list[Asked] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listening

    def do_GET(self) -> None:
        """Answer a request with any method."""
        path, _, query = self.path.partition("?")
        asked = Asked(
            method=self.command,
            path=path,
            query=query,
            host=self.headers["Host"] or "",
            account=self.headers["Authorization"] or "",
            accept=self.headers["Accept"] or "",
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers["Content-Length"] or 0)),
            client=self._find_client(),
        )
        self.server.asked.append(asked)
        status, said = self.server.answer(asked)
        if isinstance(said, Iterator):
            self._stream(status, said)
            return
        if isinstance(said, Upgraded):
            self.send_response(status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.close_connection = True
            said.talk(self.rfile, self.wfile)
            return
        if isinstance(said, Bodiless):
            self.send_response(status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.end_headers()
            return
        if isinstance(said, Page):
            kind, body = "text/html", f"<!DOCTYPE html><body>{said.text}".encode()
        elif isinstance(said, bytes):
            kind, body = "application/octet-stream", said
        elif isinstance(said, str):
            kind, body = "text/plain", said.encode()
        else:
            kind, body = "application/json", json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _find_client(self) -> str:
        given = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else {}
        # typeshed declares only the common type of the certificate's values.
        subject: Any = (given or {}).get("subject", ())
        pairs = (pair for each in subject for pair in each)
        return next((str(value) for key, value in pairs if key == "commonName"), "")

    def _stream(self, status: int, pieces: Iterator[bytes]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names are http.server's

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def make_context(authority: Path, *, names: Sequence[str]) -> ssl.SSLContext:
    """Return a context with a new key and a self-signed certificate for `names` (IP:..., DNS:...).

    The certificate is written world-readable to the file `authority`.
    """
    key = authority.with_suffix(".key")
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    words += ["-subj", "/CN=airlock", "-addext", f"subjectAltName={','.join(names)}", "-days", "2"]
    files = ["-keyout", str(key), "-out", str(authority)]
    subprocess.run(["openssl", *words, *files], capture_output=True, check=True)
    authority.chmod(0o644)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, key)
    return context
