"""A git server behind TLS, as in `git http-backend`(1), and scripted answers before it."""

import base64
import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader
from pathlib import Path
from socketserver import BaseServer

BACKEND = os.path.join(
    subprocess.run(
        ["git", "--exec-path"], capture_output=True, text=True, check=True
    ).stdout.strip(),
    "git-http-backend",
)
PIECE = 65536

Script = Callable[["Handler"], bool]


class GitServer(ThreadingHTTPServer):
    """Serves the repositories below `root` on 127.0.0.1.

    `users` have passwords, if there are any, and `guarded` says which requests are for them alone;
    `script` may answer a request in its own way, and returns whether it did. `requests` has what
    was asked for, with the Authorization that came along.
    """

    daemon_threads = True

    def __init__(self, root: Path, context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root = root
        self.users: dict[str, str] = {}
        self.guarded: Callable[[str], bool] = lambda _: True
        self.script: Script = lambda _: False
        self.requests: list[tuple[str, str | None]] = []
        self.port = self.server_address[1]
        self.context = context
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def finish_request(self, request: object, client_address: object) -> None:
        """Serve one connection, in the thread that belongs to it."""
        if self.context is None:
            super().finish_request(request, client_address)  # type: ignore[arg-type]
            return
        with self.context.wrap_socket(request, server_side=True) as secured:  # type: ignore[arg-type]
            super().finish_request(secured, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up."""


class Handler(BaseHTTPRequestHandler):
    """Hands each request to git http-backend."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: GitServer

    def do_GET(self) -> None:
        """Answer a request for what there is."""
        request = f"{self.command} {self.path}"
        self.server.requests.append((request, self.headers["Authorization"]))
        if self.server.script(self):
            return
        if self.server.users and self.server.guarded(request) and not self._is_known():
            body = self._read_body()
            for _ in body:
                pass
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._serve()

    do_POST = do_PUT = do_GET  # noqa: N815 - the names are http.server's

    def _is_known(self) -> bool:
        word = self.headers["Authorization"] or ""
        pairs = (f"{user}:{password}".encode() for user, password in self.server.users.items())
        return word in {f"Basic {base64.b64encode(pair).decode()}" for pair in pairs}

    def _read_body(self) -> Iterator[bytes]:
        if self.headers["Transfer-Encoding"] == "chunked":
            while count := int(self.rfile.readline(), 16):
                yield self.rfile.read(count)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers["Content-Length"] or 0)
        while left:
            data = self.rfile.read(min(left, PIECE))
            left -= len(data)
            yield data

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        environment = {
            "PATH": os.defpath,
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers["Content-Type"] or "",
            "REMOTE_USER": "bot",
            "GIT_PROTOCOL": self.headers["Git-Protocol"] or "",
            "GIT_CONFIG_COUNT": "4",
        }
        settings = ("safe.directory=*", "http.receivepack=true", "uploadpack.allowFilter=true")
        for number, setting in enumerate((*settings, "receive.advertisePushOptions=true")):
            key, _, value = setting.partition("=")
            environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        with subprocess.Popen(
            [BACKEND], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdin is not None
            assert isinstance(process.stdout, BufferedReader)
            feeding = threading.Thread(target=self._feed, args=(process.stdin,), daemon=True)
            feeding.start()
            status = 200
            headers = []
            while line := process.stdout.readline().strip().decode():
                name, _, value = line.partition(": ")
                if name == "Status":
                    status = int(value.split()[0])
                else:
                    headers.append((name, value))
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while data := process.stdout.read1(PIECE):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            feeding.join()

    def _feed(self, stdin: object) -> None:
        with stdin:  # type: ignore[attr-defined]
            for data in self._read_body():
                stdin.write(data)  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


def make_authority(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1 in one file, which stands for itself."""
    file = folder / "authority.pem"
    openssl = shutil.which("openssl") or "openssl"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    names = ["-subj", "/CN=git", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    out = ["-keyout", str(file), "-out", str(folder / "certificate.pem"), "-days", "2"]
    subprocess.run([openssl, *words, *names, *out], capture_output=True, check=True)
    with file.open("a") as whole:
        whole.write((folder / "certificate.pem").read_text())
    return file


@contextmanager
def serving(root: Path, authority: Path | None) -> Iterator[GitServer]:
    """Run a server in threads of this process; without an authority it speaks no TLS."""
    context = None
    if authority is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority)
    with GitServer(root, context) as server, in_thread(server):
        yield server


@contextmanager
def in_thread(server: BaseServer) -> Iterator[None]:
    """Have a server serve in a thread for as long as the context lasts."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


def main(folder: str, root: str, user: str, password: str) -> None:
    """Serve in a separate process until stdin ends; with TLS if a folder is named."""
    with serving(Path(root), make_authority(Path(folder)) if folder else None) as server:
        server.users[user] = password
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
