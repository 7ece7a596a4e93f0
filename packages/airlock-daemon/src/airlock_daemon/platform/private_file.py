"""A file for this process alone, for libraries that read only files."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def private_file(name: str, content: bytes) -> Iterator[str]:
    """Yield a path at which `content` can be read meanwhile. Raises OSError.

    On Linux the file is in memory, with this `name`. Elsewhere it is one of the temporary
    directory, 0600, and is removed.
    """
    if sys.platform == "linux":
        file = os.memfd_create(name, os.MFD_CLOEXEC)
        try:
            os.write(file, content)
            yield f"/proc/self/fd/{file}"
        finally:
            os.close(file)
    else:
        with tempfile.NamedTemporaryFile(prefix="airlock-") as made:
            made.write(content)
            made.flush()
            yield made.name
