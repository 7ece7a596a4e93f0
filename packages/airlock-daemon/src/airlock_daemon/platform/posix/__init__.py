"""POSIX calls alone, in place of what only Linux has; Linux tests run them for real."""

import os


def is_darwin() -> bool:
    """Whether the kernel is that of macOS, whatever names this Python has."""
    return os.uname().sysname == "Darwin"
