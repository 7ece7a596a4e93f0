"""The command line: one command a file, each thin over the `Application` that the options chose."""

import sys

from airlock_daemon._version import __version__
from airlock_daemon.cli.plain_words import read_plain

VERSION_OPTIONS = ("--version", "-V")


def main() -> None:
    """Run `airlock-daemon` with the arguments of the process and exit.

    0 is good, 1 refused or faults found, 2 wrong usage, 70 a fault of our own.
    """
    words = sys.argv[1:]
    # Scripts ask for the version often, and loading the command line costs more than all the rest.
    if words == ["version"] or (len(words) == 1 and words[0] in VERSION_OPTIONS):
        # Its form in all releases, which scripts read.
        print(f"airlock-daemon {__version__}")
        return
    alive = read_plain(words, command="doctor", flag="--alive")
    if alive is not None:
        from airlock_daemon.cli.plain_alive import tell_alive  # noqa: PLC0415

        tell_alive(alive)
        return
    from airlock_daemon.cli.reporting import reporting  # noqa: PLC0415

    with reporting():
        from airlock_daemon.cli.plain_start import read_start  # noqa: PLC0415

        application = read_start(words)
        if application is not None:
            application.serve()
            return
        from airlock_daemon.cli.app import run  # noqa: PLC0415

        run(words)
