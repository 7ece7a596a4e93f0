"""``python -m e2e.hostile.held_pages FIFO``: who puts a page into a fifo, and holds its lock.

The page is one of a file of a file system of its own (`fuse`), which was read, spliced into the
fifo, spoilt by a write that failed, and is read again: that never ends. Whoever reads the page from
a pipe waits for it, and no signal ends that. Needs root and /dev/fuse.
"""

import os
import signal
import sys
import threading
from contextlib import suppress

from e2e.hostile import fuse


def main(fifo: str) -> None:
    """Do it, say so on stdout, and stay until stdin ends; then nobody waits any longer."""
    pipe = os.open(fifo, os.O_RDWR)
    fuse.run(lambda waits: _hold(pipe, waits), has_pages=True)


def _hold(pipe: int, waits: int) -> None:
    dead = os.open("/dev/dead", os.O_RDWR)
    os.splice(dead, pipe, fuse.SIZE)
    with suppress(OSError):
        os.pwrite(dead, bytes(fuse.SIZE), 0)
    threading.Thread(target=os.pread, args=(dead, 1, 0), daemon=True).start()
    os.read(waits, 1)
    print("held", flush=True)
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
