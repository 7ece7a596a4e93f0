"""The plain `doctor --alive`, for health checks that run often: little is imported."""

import sys
from collections.abc import Mapping

from airlock_daemon.doctor.alive import REMEDY, find_silence
from airlock_daemon.setup.paths import locate


def tell_alive(options: Mapping[str, str]) -> None:
    """Return where the daemon of these options answers, else exit with 1 and the reason on stderr.

    `options` are values of --config and --sockets.
    """
    locations = locate(config=options.get("config"), sockets=options.get("sockets"))
    silence = find_silence(locations.sockets_dir)
    if silence is not None:
        print(f"airlock: {silence}\nairlock: hint: {REMEDY}", file=sys.stderr)
        sys.exit(1)
