"""A world whose agent is granted an API, the API's server, and clients of `https.sock`."""

import json
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from https_server import in_thread, make_authority

from running import Daemon
from worlds import World

TOKEN = "canary-Zx81TtQ4bWmCanary0Secret0Token0"
PLACEHOLDER = "API_TOKEN"
"""The variable with the placeholder in containers."""


class ApiServer(ThreadingHTTPServer):
    """An API on 127.0.0.1 that requires TOKEN, and records each request's Authorization."""

    daemon_threads = True

    def __init__(self, authority: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port = self.server_address[1]
        self.requests: list[tuple[str, str | None]] = []
        # `GET /held` sends half of its answer, and the rest once this is set. After an upgrade it
        # sends something, and waits for an answer.
        self.release = threading.Event()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(authority)

    def finish_request(self, request: object, client_address: object) -> None:
        """Serve one connection, in its own thread."""
        with self._context.wrap_socket(request, server_side=True) as secured:  # type: ignore[arg-type]
            super().finish_request(secured, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ApiServer

    def do_GET(self) -> None:
        given = self.headers["Authorization"]
        self.server.requests.append((f"{self.command} {self.path}", given))
        if self.headers["Upgrade"]:
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nhalf ")
            self.rfile.read(1)
            self.close_connection = True
            return
        status = 200 if given == f"Bearer {TOKEN}" else 401
        self.send_response(status)
        self.send_header("Content-Length", "10")
        self.end_headers()
        self.wfile.write(b"half ")
        if self.path == "/held":
            self.wfile.flush()
            self.server.release.wait(30)
        self.wfile.write(b"half ")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Log nothing."""


class ApiWorld:
    """`world` with the API `test`, served by `server`, granted to its agent."""

    def __init__(self, world: World, server: ApiServer, authority: Path) -> None:
        self.world = world
        self.server = server
        self.authority = authority
        self._token = world.root / "token"
        self._token.write_text(f"{TOKEN}\n")
        self._token.chmod(0o600)
        self.published = world.config / "sockets" / "my"
        self.grant("GET /who", "GET /held")

    def grant(
        self,
        *rules: str,
        more: str = "",
        source: str | None = None,
        port: int | None = None,
        upgrade: tuple[str, ...] = (),
    ) -> None:
        """Write the profile, with these rules for the API.

        The credential is in a file unless `source` says otherwise. `port` defaults to the server's.
        """
        source = source or f'file = "{self._token}"'
        text = f"""[workspace]
host = true
{more}
[api.test]
hosts = ["localhost"]
ports = [{port or self.server.port}]
ca = "{self.authority}"
credential = {{ as = "header", {source}, placeholder = "tok_{{36}}" }}
allow = {json.dumps(rules)}
upgrade = {json.dumps(upgrade)}
env = {{ {PLACEHOLDER} = "{{placeholder}}" }}
"""
        self.world.write_profile(text)

    def move(self, *, token: str) -> None:
        """Move the API to another port, with another credential."""
        self._token.write_text(f"{token}\n")
        self.grant("GET /who", port=self.server.port % 65535 + 1)

    def lose_token(self) -> None:
        """Remove the credential's file."""
        self._token.unlink()

    @contextmanager
    def daemon(self, *program: str) -> Iterator[Daemon]:
        """A daemon that has published the containers' files; `program` as for Daemon."""
        with Daemon(self.world, program=program) as daemon:
            wait_until_published(self.published, daemon)
            yield daemon

    def connect(self) -> socket.socket:
        """A new connection to `https.sock`."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(30)
        connection.connect(str(self.published / "https.sock"))
        return connection

    def client(self) -> "Client":
        """A client of the API."""
        return Client(self)

    def placeholder(self) -> str:
        """The placeholder of TOKEN in the agent's container."""
        lines = (self.published / "client.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)[PLACEHOLDER]


class Client:
    """A connection to the API by CONNECT and TLS, which trusts the agent's CA."""

    def __init__(self, apis: ApiWorld, *, port: int = 0, authority: Path | None = None) -> None:
        """Connect; raises Refused if CONNECT is refused.

        With a `port` it connects to that port of the host, and trusts `authority`.
        """
        self._apis = apis
        self._authority = f"localhost:{port or apis.server.port}"
        raw = apis.connect()
        try:
            raw.sendall(f"CONNECT {self._authority} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            status, text = read_answer(raw, "CONNECT")
            if status != 200:
                raise Refused(status, text)
            cafile = str(authority or apis.published / "ca.pem")
            context = ssl.create_default_context(cafile=cafile)
            self.socket = context.wrap_socket(raw, server_hostname="localhost")
        except BaseException:
            raw.close()
            raise

    def send(self, path: str, *, token: str | None = None, upgrade: bool = False) -> None:
        """Send a request, by default with the placeholder."""
        token = token or self._apis.placeholder()
        head = f"GET {path} HTTP/1.1\r\nHost: {self._authority}\r\nAuthorization: Bearer {token}"
        if upgrade:
            head += "\r\nConnection: Upgrade\r\nUpgrade: websocket"
        self.socket.sendall(f"{head}\r\n\r\n".encode())

    def ask(self, path: str, *, token: str | None = None) -> tuple[int, str]:
        """Send a request, and return status and body of the answer."""
        self.send(path, token=token)
        return read_answer(self.socket)

    def read_some(self, text: bytes) -> None:
        """Read until `text` was received."""
        data = b""
        while text not in data:
            piece = self.socket.recv(4096)
            assert piece, f"closed before {text!r}: {data!r}"
            data += piece

    @property
    def is_closed(self) -> bool:
        """Wait for the other end to close; return whether it did in time.

        It reads nothing: in some Pythons a failing SSLSocket makes others of its thread fail.
        """
        poll = select.poll()
        poll.register(self.socket.fileno(), select.POLLRDHUP)
        return bool(poll.poll(30_000))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


class Refused(Exception):
    """CONNECT was refused."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}")
        self.status = status
        self.text = text


def read_answer(connection: socket.socket, method: str = "GET") -> tuple[int, str]:
    """Read one answer of HTTP: status and body."""
    response = HTTPResponse(connection, method=method)
    response.begin()
    status = response.status
    body = b"" if (method, status) == ("CONNECT", 200) else response.read()
    return status, body.decode()


@contextmanager
def api_world(world: World) -> Iterator[ApiWorld]:
    """`world` with an API and its running server."""
    authority = make_authority(world.root)
    with ApiServer(authority) as server, in_thread(server):
        yield ApiWorld(world, server, authority)


def wait_until_published(folder: Path, daemon: Daemon) -> None:
    """Wait until a worker of the daemon has published the files of the agent's CA."""
    daemon.wait_until((folder / "truststore.p12").exists)
