"""The service manager: the file that starts the daemon, and obstacles to it."""

UNIT = ".config/systemd/user/airlock.service"
"""The unit of systemd's user manager, below the user's home."""
SEAL = "airlock-daemon init: sha256 "
"""Before the digest in the last line of a file that this release wrote."""
