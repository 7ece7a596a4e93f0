"""The command line: one file per command, each a thin layer over `Application`."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airlock_daemon._version import __version__

if TYPE_CHECKING:
    from airlock_daemon.setup.generation import Locations

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
            from airlock_daemon.setup.paths import Locations  # noqa: PLC0415

            serve(Locations.find(**options))
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


def serve(locations: "Locations") -> None:
    """Serve by these files until SIGTERM or SIGINT.

    Raises SetupError and AirlockError.
    """
    import logging  # noqa: PLC0415 - `doctor --alive` loads none of these

    from airlock_daemon.admin.cli.output import print_message  # noqa: PLC0415
    from airlock_daemon.errors import AirlockError  # noqa: PLC0415
    from airlock_daemon.platform.system import find_missing  # noqa: PLC0415

    if missing := find_missing():
        raise AirlockError(
            f"serving needs Linux or macOS: Python has no {', '.join(missing)} here "
            f"({sys.platform})",
            hint="start the daemon on a host of these that has the credentials; "
            "check, test, show, agent and profile work here too",
        )
    from airlock_daemon.admin.migrate import advise  # noqa: PLC0415
    from airlock_daemon.serving.daemon.daemon import run_daemon  # noqa: PLC0415
    from airlock_daemon.setup.generation import Setup  # noqa: PLC0415

    advice = advise(locations)
    if advice is not None and not advice.can_serve:
        raise AirlockError(advice.where, hint=advice.finding.remedy)
    if advice is not None:
        print_message(f"warning: {advice.finding}")
    setup = Setup.load(locations, variables=os.environ)
    logging.getLogger("airlock").setLevel(setup.config.log_level)
    run_daemon(setup)


def _report_alive(options: dict[str, str]) -> None:
    """Return if the daemon of these options answers, else exit with 1 and the reason."""
    from airlock_daemon.admin.listening import REMEDY, find_silence  # noqa: PLC0415
    from airlock_daemon.setup.paths import Locations  # noqa: PLC0415

    silence = find_silence(Locations.find(**options).sockets_dir)
    if silence is not None:
        print(f"airlock: {silence}\nairlock: hint: {REMEDY}", file=sys.stderr)
        sys.exit(1)
