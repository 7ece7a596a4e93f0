"""``python -m e2e.hostile.held_pages FIFO``: puts a page into a fifo, and holds the page's lock.

The page belongs to a file of its own file system (`fuse`). It is read, spliced into the fifo,
invalidated by a write that fails, and read again, which never ends. A process that reads it from a
pipe waits for its lock, and no signal ends that. Needs root and /dev/fuse.
"""

import os
import signal
import sys
import threading
from contextlib import suppress

from e2e.hostile import fuse


def main(fifo: str) -> None:
    """Print a line when the lock is held, and hold it until stdin ends."""
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
