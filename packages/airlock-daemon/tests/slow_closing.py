"""A descriptor whose close(2) blocks; this file is also included in programs run in a box."""

import socket
import struct


def slow_to_close() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection; closing the first blocks for two minutes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one = socket.create_connection(listening.getsockname())
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        other, _ = listening.accept()
    one.setblocking(False)
    try:
        while True:
            one.send(b"x" * 65536)
    except BlockingIOError:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 120))
    return one, other
