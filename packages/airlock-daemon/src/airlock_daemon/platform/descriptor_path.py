"""The path of an open directory, as the kernel knows it now."""

import sys

from airlock_daemon.platform.linux.procfs import name_descriptor
from airlock_daemon.platform.support import is_darwin


def find_descriptor_path(descriptor: int) -> str:
    """The path of an open directory, without symlinks; on macOS as it is spelled on disk.

    On Linux a removed directory's ends with " (deleted)". Raises OSError.
    """
    if sys.platform != "linux" and is_darwin():
        from airlock_daemon.platform.darwin.leaves import read_path  # noqa: PLC0415 - for macOS

        return read_path(descriptor)
    return name_descriptor(descriptor)
