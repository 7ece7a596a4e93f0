"""`python -m airlock_daemon` is `airlock-daemon`."""

from airlock_daemon.cli import main

main()
