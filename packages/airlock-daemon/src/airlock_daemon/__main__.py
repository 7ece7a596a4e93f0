"""`python -m airlock_daemon` is `airlock-daemon`."""

from airlock_daemon.admin.cli import main

main()
