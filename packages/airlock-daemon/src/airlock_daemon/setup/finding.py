"""Reading what a person put on disk, and the faults that are found there.

A finding of `check` and `doctor` is a fault with the name of what was looked at.
"""

import os
import stat
from collections.abc import Iterable, Iterator

from airlock_modules import Fault


class Finding(Fault, frozen=True, kw_only=True, omit_defaults=True):
    """A place (`source`, and in a file its `key`), a cause (`problem`), and a remedy to copy.

    `name` is that of what was looked at. A note is about what may be meant or needs nothing.
    """

    name: str
    is_note: bool = False


def named(name: str, faults: Iterable[Fault]) -> Iterator[Finding]:
    """The same faults, found by looking at what has this name."""
    for fault in faults:
        yield Finding(fault.source, fault.key, fault.problem, fault.remedy, name=name)


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
