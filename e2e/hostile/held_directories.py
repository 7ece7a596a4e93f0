"""``python -m e2e.hostile.held_directories DIRECTORY``: somebody who holds a directory.

Whoever reads the names in one has its lock while they are copied, and here they are copied into a
file of a file system that never answers (`fuse`). Somebody who wants to make a file there waits for
them, and all who look for a name that the kernel does not have in memory wait for both. Needs root
and /dev/fuse.
"""

import ctypes
import mmap
import os
import signal
import sys
import threading
import time
from pathlib import Path

from e2e.hostile import fuse

_GETDENTS64 = {"x86_64": 217, "aarch64": 61}


def main(directory: str) -> None:
    """Do it, say so on stdout, and stay until stdin ends; then nobody waits any longer."""
    fuse.hold(lambda memory, held: _hold(directory, memory, held))


def _hold(directory: str, memory: mmap.mmap, held: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    names = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
    number = _GETDENTS64[os.uname().machine]
    reader = os.open(directory, os.O_RDONLY)
    read = (number, reader, names, mmap.PAGESIZE)
    threading.Thread(target=libc.syscall, args=read, daemon=True).start()
    os.read(held, 1)
    writer = threading.Thread(target=Path(directory, f"new-{os.getpid()}").touch, daemon=True)
    writer.start()
    _await_waiting(writer)
    print("held", flush=True)
    signal.pause()


def _await_waiting(thread: threading.Thread) -> None:
    """Wait until it waits for a lock, where it cannot be interrupted."""
    stat = Path(f"/proc/self/task/{thread.native_id}/stat")
    while stat.read_text().rpartition(")")[2].split()[0] != "D":
        time.sleep(0.001)


if __name__ == "__main__":
    main(*sys.argv[1:])
