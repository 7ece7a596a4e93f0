"""Files in memory, sealed (memfd_create(2), fcntl(2))."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager


def make_sealed(name: str, content: bytes) -> int:
    """Make a file that nobody can change any more, for the caller to close. Raises OSError."""
    file = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(file, view) :]
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, _content_seals() | fcntl.F_SEAL_SEAL)
    except BaseException:
        os.close(file)
        raise
    return file


@contextmanager
def private_file(name: str, content: bytes) -> Iterator[str]:
    """Yield a path at which this process alone can read `content` meanwhile. Raises OSError.

    It is for libraries that read only files.
    """
    file = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        os.write(file, content)
        yield f"/proc/self/fd/{file}"
    finally:
        os.close(file)


def is_sealed(file: int) -> bool:
    """Whether nobody can change an open file in memory. Raises OSError for any other file."""
    wanted = _content_seals()
    return fcntl.fcntl(file, fcntl.F_GET_SEALS) & wanted == wanted


def _content_seals() -> int:
    return fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
