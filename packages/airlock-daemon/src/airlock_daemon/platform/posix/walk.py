"""One step of a walk through directories, where O_PATH does not exist.

A directory is opened for searching alone (O_SEARCH). Anything else is only looked at: opening a
fifo would wait for its other side, and opening a device could start something.
"""

import errno
import os
import stat

from airlock_daemon.platform.system import SEARCH

_DIRECTORY = SEARCH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

# A name that changes each time it is looked at belongs to somebody who wants it to.
ATTEMPTS = 16


def step(name: str, directory: int) -> int | str | None:
    """As `system.step`; raises ELOOP if the name is replaced again and again meanwhile."""
    for _ in range(ATTEMPTS):
        try:
            return os.open(name, _DIRECTORY, dir_fd=directory)
        except OSError as error:
            # A symlink is ELOOP or ENOTDIR, by system.
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            try:
                return os.readlink(name, dir_fd=directory)
            except OSError as error:
                # It is no symlink any more.
                if error.errno != errno.EINVAL:
                    raise
        elif not stat.S_ISDIR(status.st_mode):
            return None
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
