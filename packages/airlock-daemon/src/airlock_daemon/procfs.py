"""Files of /proc/<pid>, as text."""

import os


def read_process_file(pid: int, name: str) -> str:
    """The whole of /proc/`pid`/`name`; raises OSError, also for a process that is gone.

    Python's text files cost several times as much, and this is on the way of every request.
    """
    descriptor = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        pieces = []
        while piece := os.read(descriptor, 65536):
            pieces.append(piece)
    finally:
        os.close(descriptor)
    return os.fsdecode(b"".join(pieces))
