"""Whether there is room where the daemon writes: a request whose record cannot be written fails."""

import os
from collections.abc import Iterator

from airlock_daemon.doctor.surroundings import Surroundings
from airlock_daemon.setup.finding import Finding

_LEAST_MB = 16
_LEAST_FILES = 64


def find_full_disks(around: Surroundings) -> Iterator[Finding]:
    """Name what the daemon writes where the disk is full, or nearly, for its user."""
    temporary = around.daemon_environment.get("TMPDIR", "/tmp")  # noqa: S108 - where it would be
    places = {
        around.locations.sockets_dir: "sockets and the notice of the daemon",
        temporary: "the temporary files of commands",
    }
    if around.setup is not None and (log := around.setup.config.log.path) != "-":
        places[os.path.dirname(log)] = "the audit log, without which every request is refused"
    for path, what in places.items():
        try:
            room = os.statvfs(path)
        except OSError:
            # It is made when it is needed, or another examination tells what is wrong with it.
            continue
        megabytes = room.f_bavail * room.f_frsize >> 20
        left = f"{megabytes} MB" if megabytes < _LEAST_MB else ""
        if not left and room.f_files and room.f_favail < _LEAST_FILES:
            left = f"room for {room.f_favail} files"
        if left:
            problem = f"is on a disk with {left} left; there go {what}"
            yield Finding(path, "", problem, f"make room: df -h {path}", name="disk")
