"""The command line: one command a file, each thin over the objects of the package."""

import sys

from airlock_daemon._version import __version__


def main() -> None:
    """Run `airlock-daemon` with the arguments of the process and exit.

    0 is good, 1 refused or faults found, 2 wrong usage, 70 a fault of our own.
    """
    # Scripts ask for the version often, and loading the command line costs more than all the rest.
    if sys.argv[1:] == ["version"]:
        print(__version__)
        return
    from airlock_daemon.cli.chosen import read_start  # noqa: PLC0415

    chosen = read_start(sys.argv[1:])
    if chosen is not None:
        from airlock_daemon.cli.reporting import reporting  # noqa: PLC0415

        with reporting():
            from airlock_daemon.cli.serving import serve  # noqa: PLC0415

            serve(chosen)
        return
    from airlock_daemon.cli.app import run  # noqa: PLC0415

    run()
