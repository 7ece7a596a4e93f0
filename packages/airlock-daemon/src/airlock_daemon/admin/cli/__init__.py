"""The command line: one file per command, each a thin layer over `Application`."""

import sys
from collections.abc import Sequence

from airlock_daemon._version import __version__

VERSION_OPTIONS = ("--version", "-V")
_VALUED = ("config", "sockets", "agents")


def main() -> None:
    """Run `airlock-daemon` with the process's arguments, and exit.

    Exit status 0 is good, 1 refused or faults found, 2 wrong usage, 70 our own fault. Frequent
    commands of scripts, and `start`, bypass Typer: it would stay in the daemon's memory.
    """
    words = sys.argv[1:]
    if words == ["version"] or (len(words) == 1 and words[0] in VERSION_OPTIONS):
        # Scripts read this form, which is the same in all releases.
        print(f"airlock-daemon {__version__}")
        return
    options = read_plain(words, "doctor", "--alive")
    if options is not None:
        _report_alive(options)
        return
    from airlock_daemon.admin.cli.output import reporting  # noqa: PLC0415

    with reporting():
        options = read_plain(words, "start")
        if options is not None:
            from airlock_daemon.admin.cli.application import Application  # noqa: PLC0415

            Application().choose(**options).serve()
            return
        from airlock_daemon.admin.cli.app import run  # noqa: PLC0415

        run(words)


def read_plain(words: Sequence[str], *wanted: str) -> dict[str, str] | None:
    """The values of --config, --sockets and --agents in `words` if the rest is `wanted`.

    None for anything else, which Typer parses.
    """
    values: dict[str, str] = {}
    others: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.removeprefix("--").partition("=")
        if word in wanted:
            others.append(word)
        elif word.startswith("--") and name in _VALUED:
            values[name] = value if equals else next(rest, "")
            if not values[name] or values[name].startswith("-"):
                return None
        else:
            return None
    return values if others == [*wanted] else None


def _report_alive(options: dict[str, str]) -> None:
    """Return if the daemon of these options answers, else exit with 1 and the reason."""
    from airlock_daemon.admin.doctor.alive import REMEDY, find_silence  # noqa: PLC0415
    from airlock_daemon.setup.paths import locate  # noqa: PLC0415

    silence = find_silence(locate(**options).sockets_dir)
    if silence is not None:
        print(f"airlock: {silence}\nairlock: hint: {REMEDY}", file=sys.stderr)
        sys.exit(1)
