"""``python -m e2e.hostile.dead_files SOCKET NAME``: a client whose files never answer.

They are those of a file system of its own, which it puts in the place of /dev in its mount
namespace. The file NAME in there, such as /dev/null, cannot be told from a real one by its name,
and to ask it anything, even to close it, may take for ever. Needs root and /dev/fuse.
"""

import os
import signal
import socket
import sys

from e2e.hostile import fuse
from e2e.world.lines import make_script


def main(path: str, name: str) -> None:
    """Ask for a command with three such files, say so on stdout, and stay until stdin ends."""
    fuse.run(lambda _: _pass_dead_file(path, name))


def _pass_dead_file(path: str, name: str) -> None:
    dead = os.open(name, os.O_RDWR)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        line = make_script("cat; echo x", "fds", "signals")
        socket.send_fds(connection, [line[:1]], [dead] * 3)
        connection.sendall(line[1:])
        print("sent", flush=True)
        signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
