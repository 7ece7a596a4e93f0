"""Reads files that a person wrote, and reports faults in them.

A finding of `check` and `doctor` is a fault with the name of what was checked.
"""

import os
import stat
from collections.abc import Iterable, Iterator

from airlock_modules import Fault


class Finding(Fault, frozen=True, kw_only=True, omit_defaults=True):
    """A file (`source`, `key`), a cause (`problem`), and a remedy to copy.

    `name` is what was checked. A note may be intended, or needs no action.
    """

    name: str
    is_note: bool = False


def named(name: str, faults: Iterable[Fault]) -> Iterator[Finding]:
    """Convert faults to findings with this name."""
    for fault in faults:
        yield Finding(fault.source, fault.key, fault.problem, fault.remedy, name=name)


def read_text(path: str, *, faults: list[Fault], remedy: str) -> str | None:
    """The text of a UTF-8 file without a byte order mark; None and a fault if unreadable.

    `remedy` is for a missing file.
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
    """A regular file's content; None for other files, or at `most` bytes and more.

    Raises OSError.
    """
    # O_NONBLOCK opens a FIFO without waiting.
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
    """The sorted paths of all entries of `directory`; none, and no fault, if it is missing."""
    try:
        return [os.path.join(directory, name) for name in sorted(os.listdir(directory))]
    except FileNotFoundError:
        return []
    except OSError as error:
        faults.append(
            Fault(directory, "", f"cannot be listed: {error.strerror}", "make it readable")
        )
        return []
