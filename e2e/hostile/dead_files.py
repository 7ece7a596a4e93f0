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

_CLONE_NEWNS = 0x20000
_MS_REC_PRIVATE = 0x4000 | 0x40000
_PR_SET_PDEATHSIG = 1


def main(path: str, name: str) -> None:
    """Ask for a command with three such files, say so on stdout, and stay until stdin ends.

    The process that answers for the file system holds none of its files: however it ends, the
    kernel then answers in its place, and nobody waits any longer.
    """
    fuse.call("unshare", _CLONE_NEWNS)
    fuse.call("mount", None, b"/", None, _MS_REC_PRIVATE, None)
    device = fuse.mount("/dev")
    client = os.fork()
    if client == 0:
        os.close(device)
        try:
            _pass_dead_file(path, name)
        finally:
            os._exit(1)
    fuse.serve(device, files=True)
    os.close(device)
    os.kill(client, signal.SIGKILL)
    os.waitpid(client, 0)


def _pass_dead_file(path: str, name: str) -> None:
    fuse.call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL)
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
