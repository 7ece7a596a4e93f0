"""The service manager: the file that it starts the daemon by, and what keeps it from that."""
