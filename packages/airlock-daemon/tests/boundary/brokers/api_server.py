"""A service behind TLS that notes what it is asked, and answers by a script; and a proxy."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

PIECE = 1 << 16

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class Seen(msgspec.Struct, frozen=True):
    """A request as the service got it: names of headers in small letters."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    client: bytes | None = None
    """The certificate of the client (DER)."""


Script = Callable[["Talk", Seen], None]


class Talk:
    """One connection of the service."""

    def __init__(self, connection: ssl.SSLSocket, number: int) -> None:
        self.connection = connection
        self.number = number
        self.buffer = b""

    def send(self, data: bytes) -> None:
        """Send it."""
        self.connection.sendall(data)

    def read(self) -> bytes:
        """What comes next, b"" at the end."""
        try:
            return self.connection.recv(PIECE)
        except OSError:
            return b""

    def read_head(self) -> tuple[str, str, dict[str, str]] | None:
        """The next head."""
        while b"\r\n\r\n" not in self.buffer:
            data = self.read()
            if not data:
                return None
            self.buffer += data
        raw, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        pairs = (line.partition(": ")[::2] for line in lines)
        headers: dict[str, str] = {}
        for name, value in pairs:
            assert name.lower() not in headers, f"{name} is there twice"
            headers[name.lower()] = value
        return method, target, headers

    def read_body(self, headers: dict[str, str]) -> Iterator[bytes]:
        """The body in pieces."""
        if headers.get("transfer-encoding") == "chunked":
            while count := int(self._read_line(), 16):
                yield self._read_exactly(count)
                self._read_line()
            self._read_line()
            return
        left = int(headers.get("content-length", "0"))
        while left:
            piece = self._read_exactly(min(left, PIECE))
            left -= len(piece)
            yield piece

    def _read_line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            self._fill()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def _read_exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self._fill()
        piece, self.buffer = self.buffer[:count], self.buffer[count:]
        return piece

    def _fill(self) -> None:
        data = self.read()
        if not data:
            raise ConnectionError("cut off")
        self.buffer += data


class ApiServer:
    """Serves on an address of loopback. `script` answers each request; `before` has the head before
    its body is read, and says whether it is to be.
    """

    def __init__(self, certificate: Path, clients: Path | None = None) -> None:
        """`clients` is the authority of clients' certificates."""
        self.seen: list[Seen] = []
        self.script: Script = lambda talk, _: talk.send(OK)
        self.before: Callable[[Talk, dict[str, str]], bool] = lambda _, __: True
        self.keeps_bodies = True
        self.connections = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        if clients is not None:
            self._context.verify_mode = ssl.CERT_OPTIONAL
            self._context.load_verify_locations(clients)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def run(self) -> None:
        """Accept until it is closed."""
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                words = (connection, self.connections)
                threading.Thread(target=self._serve, args=words, daemon=True).start()

    def close(self) -> None:
        """Accept no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self, connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with (
            closing(connection),
            suppress(OSError),
            self._context.wrap_socket(connection, server_side=True) as secured,
        ):
            talk = Talk(secured, number)
            while head := talk.read_head():
                method, target, headers = head
                if not self.before(talk, headers):
                    continue
                pieces = talk.read_body(headers)
                if self.keeps_bodies:
                    body = b"".join(pieces)
                else:
                    body = str(sum(map(len, pieces))).encode()
                client = secured.getpeercert(binary_form=True)
                seen = Seen(method, target, headers, body, number, client)
                self.seen.append(seen)
                self.script(talk, seen)


class Certificates:
    """An authority of the tests' own: `file` has its certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tests")])
        constraint = x509.BasicConstraints(ca=True, path_length=None)
        builder = self._begin(self._name, self._key).add_extension(constraint, critical=True)
        self.file = folder / "authority.pem"
        self.file.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def issue(self, *names: str) -> Path:
        """A file with a certificate for these names, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        kinds: list[x509.GeneralName] = []
        for name in names:
            with suppress(ValueError):
                kinds.append(x509.IPAddress(ipaddress.ip_address(name)))
                continue
            kinds.append(x509.DNSName(name))
        builder = self._begin(x509.Name([]), key)
        builder = builder.add_extension(x509.SubjectAlternativeName(kinds), critical=True)
        text = builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
        text += key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file = self._folder / f"{names[0]}.pem"
        file.write_bytes(text)
        return file

    def _begin(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )


@contextmanager
def serving(certificate: Path, clients: Path | None = None) -> Iterator[ApiServer]:
    """A service that runs in threads; `clients` as that of ApiServer."""
    server = ApiServer(certificate, clients)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()


@contextmanager
def proxying(port: int) -> Iterator[tuple[int, list[str]]]:
    """The port of a proxy that leads every CONNECT to `port`, and what it was asked for."""
    asked: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def pour(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(PIECE):
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def lead(client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(PIECE)
        asked.append(head.decode().split(" ")[1])
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with closing(client), socket.create_connection(("127.0.0.1", port)) as server:
            back = threading.Thread(target=pour, args=(server, client), daemon=True)
            back.start()
            pour(client, server)
            back.join()

    def run() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=lead, args=(client,), daemon=True).start()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], asked
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
