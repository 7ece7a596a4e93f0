"""Reading what a person put on disk."""

import os

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
