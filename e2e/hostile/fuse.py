"""A file system that answers what is needed to open a file, and nothing else (fuse(4)).

Whoever asks it anything more waits for as long as its owner likes. Needs root and /dev/fuse.
"""

import ctypes
import errno
import mmap
import os
import select
import signal
import stat
import struct
import sys
from collections.abc import Callable

_INIT, _LOOKUP, _GETATTR, _OPEN, _READ = 26, 1, 3, 14, 15
_HEADER = struct.Struct("<IIQQIIII")
_ANSWER = struct.Struct("<IiQ")
_VALID_S = 3600
_ROOT, _FILE = 1, 2
SIZE = 4096
"""Bytes of each file: one page."""

_CLONE_NEWNS = 0x20000
_MS_REC_PRIVATE = 0x4000 | 0x40000
_PR_SET_PDEATHSIG = 1


def call(name: str, *arguments: object) -> None:
    """Call a function of libc; raises OSError unless it returns 0."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        raise OSError(ctypes.get_errno(), name)


def mount(place: str) -> int:
    """Mount a file system of this process's own at `place`; returns the end to `serve`."""
    fuse = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
    call("mount", b"dead", place.encode(), b"fuse", 0, options)
    return fuse


def serve(
    fuse: int,
    *,
    files: bool,
    is_mute: bool = False,
    has_pages: bool = False,
    on_silence: Callable[[], object] = lambda: None,
) -> None:
    """Answer until stdin ends: with `files` each name is one that opens, else none is answered.

    One that `is_mute` answers nothing at all, but that it is there. One that `has_pages` answers
    the first read, and refuses all else but further reads, such as writes. `on_silence` is called
    for whatever is not answered.
    """
    was_read = False
    while True:
        ready, _, _ = select.select([fuse, sys.stdin], [], [])
        if sys.stdin in ready:
            return
        request = os.read(fuse, 1 << 20)
        _, code, unique, node, *_ = _HEADER.unpack_from(request)
        if code == _INIT:
            answer = struct.pack("<4I2HII2HI7I", 7, 31, 65536, 0, 1, 1, 4096, 1, *[0] * 10)
        elif is_mute:
            on_silence()
            continue
        elif code == _LOOKUP and files:
            answer = struct.pack("<4Q2I", _FILE, 0, _VALID_S, _VALID_S, 0, 0) + _describe(_FILE)
        elif code == _GETATTR:
            answer = struct.pack("<QII", _VALID_S, 0, 0) + _describe(node)
        elif code == _OPEN:
            answer = struct.pack("<QII", 1, 0, 0)
        elif has_pages and code == _READ and not was_read:
            was_read, answer = True, bytes(SIZE)
        elif has_pages and code != _READ:
            os.write(fuse, _ANSWER.pack(_ANSWER.size, -errno.ENOSYS, unique))
            continue
        else:
            on_silence()
            continue
        os.write(fuse, _ANSWER.pack(_ANSWER.size + len(answer), 0, unique) + answer)


def run(client: Callable[[int], object], *, has_pages: bool = False) -> None:
    """Run `client` in a process of its own, until stdin ends, with a file system of one's own.

    That is at its /dev, and each name there opens; `has_pages` is as for `serve`. It gets a pipe in
    which there is something once anybody waits for an answer. The process that answers holds none
    of the files: however it ends, the kernel then answers in its place, and nobody waits any
    longer.
    """
    call("unshare", _CLONE_NEWNS)
    call("mount", None, b"/", None, _MS_REC_PRIVATE, None)
    device = mount("/dev")
    waits, tell = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(device)
        try:
            call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL)
            client(waits)
        finally:
            os._exit(1)
    serve(device, files=True, has_pages=has_pages, on_silence=lambda: os.write(tell, b"x"))
    os.close(device)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def hold(client: Callable[[mmap.mmap, int], object]) -> None:
    """As `run`, for a client that gets memory that never comes, too."""

    def hold_memory(waits: int) -> None:
        dead = os.open("/dev/dead", os.O_RDWR)
        client(mmap.mmap(dead, mmap.PAGESIZE), waits)

    run(hold_memory)


def _describe(node: int) -> bytes:
    mode = stat.S_IFDIR | 0o755 if node == _ROOT else stat.S_IFREG | 0o666
    return struct.pack("<6Q10I", node, SIZE, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
