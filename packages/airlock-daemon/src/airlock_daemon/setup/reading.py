"""Reading what a person put on disk."""

import os
import stat

from airlock_modules import Fault


def read_text(path: str, *, faults: list[Fault], remedy: str) -> str | None:
    """The text of the UTF-8 file `path`, without a byte order mark; None and a fault if unreadable.

    `remedy` is what to do where there is no such file.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except FileNotFoundError:
        faults.append(Fault(path, "", "there is no such file", remedy))
    except (OSError, UnicodeDecodeError) as error:
        faults.append(Fault(path, "", f"cannot be read: {error}", "make it a readable UTF-8 file"))
    return None


def read_bounded(path: str, *, most: int) -> bytes | None:
    """The content of a regular file; None for anything else, or where it has `most` bytes or more.

    Raises OSError.
    """
    # A FIFO is opened at once, and then is no file.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(most)
    finally:
        os.close(descriptor)
    return content if len(content) < most else None


def list_entries(directory: str, *, faults: list[Fault]) -> list[str]:
    """The paths of everything in `directory`, sorted; none and no fault where it does not exist."""
    try:
        return [os.path.join(directory, name) for name in sorted(os.listdir(directory))]
    except FileNotFoundError:
        return []
    except OSError as error:
        faults.append(
            Fault(directory, "", f"cannot be listed: {error.strerror}", "make it readable")
        )
        return []
