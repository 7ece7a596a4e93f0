"""The service manager: the file that it starts the daemon by, and what keeps it from that."""

UNIT = ".config/systemd/user/airlock.service"
"""The file of the service of systemd's manager of a user, below that user's home."""
