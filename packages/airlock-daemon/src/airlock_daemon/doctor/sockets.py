"""Where the daemon writes: what in the sockets directory is in its way, and disks that are full."""

import os
import shlex
import stat
from collections.abc import Iterator

from airlock_daemon.doctor.surroundings import Surroundings
from airlock_daemon.setup.client import PUBLISHED
from airlock_daemon.setup.finding import Finding, named
from airlock_daemon.setup.sockets import DOCKER, NAMES, find_unusable, is_served, list_sockets
from airlock_daemon.setup.trust import name_user

_LEAST_MB = 16
_LEAST_FILES = 64


def find_socket_faults(around: Surroundings) -> Iterator[Finding]:
    """Tell directories that docker made, sockets of others, and sockets that nobody listens on."""
    directory = around.locations.sockets_dir
    yield from named("sockets", find_unusable(directory))
    yield from map(_say_directory, _list_directories(directory))
    for path in list_sockets(directory):
        owner = os.lstat(path).st_uid
        quoted = shlex.quote(path)
        if owner != os.geteuid():
            problem = f"belongs to {name_user(owner)}, whose program would get what clients send"
            yield Finding(path, "", problem, f"sudo rm {quoted}", name="sockets")
        elif not is_served(path):
            problem = "is left over: the daemon was killed, or its service stopped"
            remedy = f"start the daemon, which replaces those of its agents, or: rm {quoted}"
            yield Finding(path, "", problem, remedy, name="sockets", is_note=True)


def find_full_disks(around: Surroundings) -> Iterator[Finding]:
    """Name what the daemon writes where the disk is full, or nearly, for its user.

    A request whose record cannot be written is refused.
    """
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


def find_missing_certificates(around: Surroundings) -> Iterator[Finding]:
    """Tell what the HTTPS broker has not published for the containers of an agent with an API."""
    if around.setup is None or around.notice is None:
        return
    for name, generation in around.setup.generations.items():
        directory = os.path.join(around.locations.sockets_dir, name)
        missing = (each for each in PUBLISHED if not os.path.exists(os.path.join(directory, each)))
        if generation.apis and (first := next(missing, None)) is not None:
            problem = f"is not there, so that the containers of {name} cannot use its APIs"
            remedy = "airlock-daemon reload, and see what the daemon's log says of it"
            path = os.path.join(directory, first)
            yield Finding(path, "", problem, remedy, name="certificates")


def _list_directories(directory: str) -> Iterator[str]:
    """The directories that stand where a socket belongs."""
    if not os.path.isdir(directory) or not os.access(directory, os.R_OK | os.X_OK):
        return
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        for candidate in (path, *(os.path.join(path, socket) for socket in NAMES)):
            is_socket = candidate.endswith(".sock")
            if (
                is_socket
                and os.path.lexists(candidate)
                and stat.S_ISDIR(os.lstat(candidate).st_mode)
            ):
                yield candidate


def _say_directory(path: str) -> Finding:
    quoted = shlex.quote(path)
    # As the daemon does: an empty one goes, a full one is looked at first.
    is_full = not os.access(path, os.R_OK) or bool(os.listdir(path))
    remove = f"look at what is in it, then: rm -r {quoted}" if is_full else f"rmdir {quoted}"
    remedy = f"{remove} (with sudo if it belongs to root), and start the container again"
    return Finding(path, "", f"is a directory and no socket: {DOCKER}", remedy, name="sockets")
