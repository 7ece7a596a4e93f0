"""The limit of open files, where the hard limit may be more than the kernel allows.

On macOS the soft limit is 256 and the hard one "infinity", which setrlimit(2) refuses (EINVAL).
"""

import resource
from contextlib import suppress

# Tried from the largest on; macOS allows what kern.maxfilesperproc says, 10240 at least.
_WANTED = (1 << 20, 1 << 18, 122_880, 61_440, 24_576, 10_240, 4096, 1024)


def raise_open_files() -> int:
    """Raise the soft limit as far as the kernel allows; returns the old one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED if hard == resource.RLIM_INFINITY else (hard, *_WANTED)
    for limit in wanted:
        if limit <= soft or (hard != resource.RLIM_INFINITY and limit > hard):
            continue
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            break
    return soft
