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

_CLONE_NEWNS = 0x20000
_MS_REC_PRIVATE = 0x4000 | 0x40000
_PR_SET_PDEATHSIG = 1


def main(path: str, line: str) -> None:
    """Do it, say so on stdout, and stay until stdin ends; then nobody waits any longer."""
    fuse.call("unshare", _CLONE_NEWNS)
    fuse.call("mount", None, b"/", None, _MS_REC_PRIVATE, None)
    device = fuse.mount("/dev")
    held, hold = os.pipe()
    client = os.fork()
    if client == 0:
        os.close(device)
        try:
            _pass_held_pipe(path, line.encode() + b"\n", held)
        finally:
            os._exit(1)
    fuse.serve(device, files=True, on_silence=lambda: os.write(hold, b"x"))
    os.close(device)
    os.kill(client, signal.SIGKILL)
    os.waitpid(client, 0)


def _pass_held_pipe(path: str, line: bytes, held: int) -> None:
    fuse.call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL)
    dead = os.open("/dev/dead", os.O_RDWR)
    memory = mmap.mmap(dead, mmap.PAGESIZE)
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
