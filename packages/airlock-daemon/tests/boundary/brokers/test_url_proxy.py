"""The human's proxy on the way to a server: what it is told, and what it is not used for."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from url_world import Site, making_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server that asks for no account. The daemon does not run yet."""
    with making_site(tmp_path) as site:
        site.grant()
        yield site


@contextmanager
def proxying(heard: list[bytes], first: bytes) -> Iterator[int]:
    """A proxy that notes what it is asked, answers with `first`, and leads where it should."""

    def carry(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def serve(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            heard.append(head)
            client.sendall(first)
            if not first.startswith(b"HTTP/1.1 200"):
                return
            host, port = head.split()[1].decode().rsplit(":", 1)
            with socket.create_connection((host, int(port))) as server:
                back = threading.Thread(target=carry, args=(server, client), daemon=True)
                back.start()
                carry(client, server)
                back.join()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (b"HTTP/1.1 200 Go\r\n\r\n", ""),
        (b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", "it answered 407"),
        (b"HTTP/1.1 200 Go\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "it did not answer as one does"),
        (b"SSH\r\n\r\n", "it did not answer as one does"),
    ],
)
def test_a_proxy_stands_between(site: Site, first: bytes, said: str) -> None:
    """It is asked with the human's account there, and sees nothing of what the server is told."""
    heard: list[bytes] = []
    with proxying(heard, first) as port:
        site.environment["https_proxy"] = f"http://me:s%40cret@127.0.0.1:{port}"
        with site.running():
            listed = site.git("ls-remote", "origin")
    assert said in listed.stderr
    assert bool(said) == bool(listed.returncode)
    assert "s%40cret" not in listed.stderr
    host = site.server.url.removeprefix("https://")
    assert (
        heard[0]
        == (
            f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n"
            "Proxy-Authorization: Basic bWU6c0BjcmV0\r\n\r\n"
        ).encode()
    )


def test_a_proxy_is_passed_over_for_what_it_is_not_for(site: Site) -> None:
    """`no_proxy` has networks too."""
    site.environment |= {"https_proxy": "http://127.0.0.1:1", "no_proxy": "example.com,127.0.0.0/8"}
    with site.running():
        assert site.git("ls-remote", "origin").returncode == 0


def test_a_proxy_needs_names(site: Site) -> None:
    """It would resolve a name that a pattern covers as it likes."""
    site.world.write_profile('[git]\npush = ["*:1234/**"]\n')
    site.configure("http.proxy", "http://127.0.0.1:1")
    with site.running():
        listed = site.git("ls-remote", "https://example.invalid:1234/x")
    assert '"example.invalid" is reached through a proxy, which resolves names' in listed.stderr
