"""Descriptors that a client sends where none are taken, and that are slow to close."""

import os
import signal
import socket
import struct

import pytest

from running import Daemon


def _slow_to_close() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection, of which the first waits two minutes when it is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = socket.create_connection(listening.getsockname())
        other, _ = listening.accept()
    one.setblocking(False)
    try:
        while True:
            one.send(b"x" * 65536)
    except BlockingIOError:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 120))
    return one, other


@pytest.mark.parametrize("way", ["a fourth", "later", "unread"])
def test_they_hold_up_nobody(daemon: Daemon, way: str) -> None:
    """Those beyond three, those that come late, and those that are never received."""
    one, other = _slow_to_close()
    with other, daemon.connect() as client, open(os.devnull, "rb") as null:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        # Until it goes on the client has let go, so that the daemon's is the last that is closed.
        daemon.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, daemon.process.pid, os.WSTOPPED)
        if way == "a fourth":
            socket.send_fds(client, [b"{}\n"], [null.fileno()] * 3 + [one.fileno()])
        else:
            client.sendall(b"{" if way == "later" else b"{}\n" + b"x" * 80_000)
            socket.send_fds(client, [b"x"], [one.fileno()])
        one.close()
        daemon.process.send_signal(signal.SIGCONT)
        client.recv(1)
        assert daemon.ask("nothing").error["code"] == -32601
