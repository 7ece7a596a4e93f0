"""``python -m e2e.hostile.held_pipes SOCKET LINE``: a client that holds a pipe it passes.

Whoever reads from a pipe has its lock while the bytes are copied, and here they are copied into a
file of a file system that never answers (`fuse`). The client makes the request LINE with three
copies of the other end, which are the only ones. Needs root and /dev/fuse.
"""

import mmap
import os
import signal
import socket
import sys
import threading

from e2e.hostile import fuse


def main(path: str, line: str) -> None:
    """Do it, say so on stdout, and stay until stdin ends; then nobody waits any longer."""
    fuse.hold(lambda memory, held: _pass_held_pipe(path, line.encode() + b"\n", memory, held))


def _pass_held_pipe(path: str, line: bytes, memory: mmap.mmap, held: int) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"x")
    threading.Thread(target=os.readv, args=(reading, [memory]), daemon=True).start()
    os.read(held, 1)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        socket.send_fds(connection, [line[:1]], [writing] * 3)
        os.close(writing)
        connection.sendall(line[1:])
        print("sent", flush=True)
        signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
