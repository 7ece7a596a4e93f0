"""The service manager: the file that starts the daemon, and obstacles to it."""

UNIT = ".config/systemd/user/airlock.service"
"""The unit of systemd's user manager, below the user's home."""
