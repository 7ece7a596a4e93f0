"""The service manager: the file that starts the daemon, and obstacles to it."""

import os

UNIT = ".config/systemd/user/airlock.service"
"""The unit of systemd's user manager, below the user's home."""
SEAL = "airlock-daemon init: sha256 "
"""Before the digest in the last line of a file that this release wrote."""


def read_foreign_unit(home: str) -> str | None:
    """The text of the unit if this release has not written it, None without one to read."""
    try:
        with open(os.path.join(home, UNIT), encoding="utf-8", newline="") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError):
        return None
    return None if SEAL in text else text
