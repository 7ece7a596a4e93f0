"""``python -m hostile.dead_files SOCKET NAME``: a client whose files never answer.

They are those of a file system of its own (fuse(4)), which it puts in the place of /dev in its
mount namespace. The file NAME in there, such as /dev/null, cannot be told from a real one by its
name, and to ask it anything, even to close it, may take for ever. Needs root and /dev/fuse.
"""

import ctypes
import os
import select
import signal
import socket
import stat
import struct
import sys

from hostile.lines import make_script

_CLONE_NEWNS = 0x20000
_MS_REC_PRIVATE = 0x4000 | 0x40000
_PR_SET_PDEATHSIG = 1
_INIT, _LOOKUP, _GETATTR, _OPEN = 26, 1, 3, 14
_HEADER = struct.Struct("<IIQQIIII")
_ANSWER = struct.Struct("<IiQ")
_VALID_S = 3600
_ROOT, _FILE = 1, 2


def main(path: str, name: str) -> None:
    """Ask for a command with three such files, say so on stdout, and stay until stdin ends.

    The process that answers for the file system holds none of its files: however it ends, the
    kernel then answers in its place, and nobody waits any longer.
    """
    fuse = os.open("/dev/fuse", os.O_RDWR)
    _mount_over_dev(fuse)
    client = os.fork()
    if client == 0:
        os.close(fuse)
        try:
            _pass_dead_file(path, name)
        finally:
            os._exit(1)
    _serve(fuse)
    os.close(fuse)
    os.kill(client, signal.SIGKILL)
    os.waitpid(client, 0)


def _mount_over_dev(fuse: int) -> None:
    options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
    _call("unshare", _CLONE_NEWNS)
    _call("mount", None, b"/", None, _MS_REC_PRIVATE, None)
    _call("mount", b"dead", b"/dev", b"fuse", 0, options)


def _pass_dead_file(path: str, name: str) -> None:
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL)
    dead = os.open(name, os.O_RDWR)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        line = make_script("cat; echo x", "fds", "signals")
        socket.send_fds(connection, [line[:1]], [dead] * 3)
        connection.sendall(line[1:])
        print("sent", flush=True)
        signal.pause()


def _call(name: str, *arguments: object) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        raise OSError(ctypes.get_errno(), name)


def _serve(fuse: int) -> None:
    """Answer what is needed to open a file, and nothing else, until stdin ends."""
    while True:
        ready, _, _ = select.select([fuse, sys.stdin], [], [])
        if sys.stdin in ready:
            return
        request = os.read(fuse, 1 << 20)
        _, code, unique, node, *_ = _HEADER.unpack_from(request)
        if code == _INIT:
            answer = struct.pack("<4I2HII2HI7I", 7, 31, 65536, 0, 1, 1, 4096, 1, *[0] * 10)
        elif code == _LOOKUP:
            answer = struct.pack("<4Q2I", _FILE, 0, _VALID_S, _VALID_S, 0, 0) + _describe(_FILE)
        elif code == _GETATTR:
            answer = struct.pack("<QII", _VALID_S, 0, 0) + _describe(node)
        elif code == _OPEN:
            answer = struct.pack("<QII", 1, 0, 0)
        else:
            continue
        os.write(fuse, _ANSWER.pack(_ANSWER.size + len(answer), 0, unique) + answer)


def _describe(node: int) -> bytes:
    mode = stat.S_IFDIR | 0o755 if node == _ROOT else stat.S_IFREG | 0o666
    return struct.pack("<6Q10I", node, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
