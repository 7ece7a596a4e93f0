"""An https server that lets nobody in: every request is answered by a demand for a password."""

import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Refuser(BaseHTTPRequestHandler):
    """Answers 401 to everything."""

    def do_GET(self) -> None:
        """Demand a password."""
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="nobody"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing about it."""


@contextmanager
def running_https(folder: Path) -> Iterator[str]:
    """Serve for as long as the context lasts, with a certificate made in `folder`.

    Yields the address. The certificate is signed by nobody but itself.
    """
    key, certificate = folder / "https.key", folder / "https.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=nobody"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refuser)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
