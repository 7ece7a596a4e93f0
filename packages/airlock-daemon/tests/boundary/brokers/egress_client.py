"""In a box: asking the egress broker for a destination, byte by byte as the caller wants."""

import os
import socket
import sys

WORDS = sys.argv[1:]
PROXY = (
    "127.0.0.1",
    int(os.environ.get("https_proxy", "http://127.0.0.1:3128").rpartition(":")[2]),
)


def speak(data: bytes) -> socket.socket:
    """A connection to the broker, on which this was said."""
    connection = socket.create_connection(PROXY, timeout=30)
    connection.sendall(data)
    return connection


def connect(target: str) -> tuple[socket.socket, str]:
    """A connection that was asked to lead to `target`, and the first line of the answer."""
    connection = speak(f"CONNECT {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head and (byte := connection.recv(1)):
        head += byte
    return connection, head.partition(b"\r\n")[0].decode()


def read_all(connection: socket.socket) -> bytes:
    """Everything until its end."""
    data = b""
    while piece := connection.recv(1 << 16):
        data += piece
    return data


def try_to_reach(host: str, port: int) -> str:
    """What comes of connecting without the broker."""
    try:
        socket.create_connection((host, port), timeout=30).close()
    except OSError as error:
        return type(error).__name__
    return "reached"
