"""A running daemon's status file, by which other commands find it and request a reload.

A container that mounts the sockets directory and runs as the daemon's user can write there. So the
daemon locks the status file while it runs, at the offset given by the hash of its text: the kernel
then names the process that published this very text. SIGHUP, which ends most other processes,
requests a reload. It is sent only to a process of this user in this pid namespace (a container has
its own) that runs airlock-daemon and handles the signal, through a pidfd, so that its pid cannot be
reused for another process.
"""

import errno
import hashlib
import os
import select
import signal
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from airlock_daemon.errors import LOOK_AT_MESSAGES, AirlockError
from airlock_daemon.platform.linux.byte_lock import find_holder, lock_byte
from airlock_daemon.platform.linux.procfs import read_process_entry
from airlock_daemon.setup.paths import Locations

NAME = ".serving"
_NEW = ".serving.new"

TOLD = ("PATH", "SSH_AUTH_SOCK")
"""The daemon's variables that determine its tools and what they find."""

# Nothing here writes a longer one.
_LONGEST = 1 << 20


class Reload(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a reload: the agents that it added, changed and removed, or its faults.

    With `faults` nothing changed. `unserved` has the faults of agents that are not served, by name;
    one that was served before is also in `removed`. `began` is in seconds of CLOCK_MONOTONIC,
    `ended` in seconds since 1970.
    """

    began: float
    ended: float
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    unserved: dict[str, tuple[str, ...]] = {}


class DaemonStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A daemon's start: its configuration's real path, its registration's path.

    `agents` is None without a registration file. `reload` is the latest one. `environment` has its
    variables of TOLD.
    """

    config_dir: str
    agents: str | None
    environment: dict[str, str] = {}
    reload: Reload | None = None


class PublishedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A status, and the process that published it, according to the kernel."""

    status: DaemonStatus
    pid: int


def make_status(locations: Locations) -> DaemonStatus:
    """The status of a daemon that was started with these files."""
    return DaemonStatus(
        config_dir=os.path.realpath(locations.config_dir),
        agents=locations.agents,
        environment={name: os.environ[name] for name in TOLD if name in os.environ},
    )


def publish_status(directory: int, status: DaemonStatus) -> int:
    """Publish `status` in the open sockets directory `directory`, which the caller has locked.

    It is valid until the returned descriptor is closed. Raises OSError.
    """
    text = msgspec.json.encode(status)
    with suppress(FileNotFoundError):
        os.unlink(_NEW, dir_fd=directory)
    # A new file, locked before it is renamed, so that no reader sees it unlocked.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(_NEW, flags, 0o600, dir_fd=directory)
    try:
        if os.write(file, text) < len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        lock_byte(file, _hash(text))
        os.rename(_NEW, NAME, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.close(file)
        raise
    return file


def read_status(sockets_dir: str) -> DaemonStatus | None:
    """The status of the daemon that serves `sockets_dir`, None if there is none."""
    posted = find_published(sockets_dir)
    return None if posted is None else posted.status


def find_published(sockets_dir: str) -> PublishedStatus | None:
    """The status in `sockets_dir`, and the process that locks it.

    None if no process of this pid namespace locks it, or if the directory or the file is not
    private: it belongs to another user, or others may write it. A process does not find its own
    lock.
    """
    if sys.platform != "linux":
        return None
    try:
        with _opened(sockets_dir, os.O_DIRECTORY) as directory:
            if not _is_private(directory, forbidden=0o022):
                return None
            with _opened(NAME, os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory) as file:
                text = os.read(file, _LONGEST)
                holder = find_holder(file, _hash(text))
                if not holder or not _is_private(file, forbidden=0o077):
                    return None
                return PublishedStatus(
                    status=msgspec.json.decode(text, type=DaemonStatus), pid=holder
                )
    except (OSError, msgspec.DecodeError):
        return None


def find_status(locations: Locations) -> DaemonStatus | None:
    """The status of the daemon that serves these sockets, if with the same configuration."""
    status = read_status(locations.sockets_dir)
    if status is None or status.config_dir != os.path.realpath(locations.config_dir):
        return None
    return status


def _hash(text: bytes) -> int:
    """The lock offset for a text: 62 bits, as an offset is signed and a lock needs an end."""
    return int.from_bytes(hashlib.sha256(text).digest()[:8]) >> 2


@contextmanager
def _opened(path: str, flags: int, *, dir_fd: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags, dir_fd=dir_fd)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_private(descriptor: int, *, forbidden: int) -> bool:
    """Whether an open file or directory is this user's, without the mode bits `forbidden`."""
    info = os.fstat(descriptor)
    return info.st_uid == os.geteuid() and not stat.S_IMODE(info.st_mode) & forbidden


# The timeout of a reload in seconds, and the interval between checks.
PATIENCE_S = 60.0
_LOOK_MS = 20

_PROGRAMS = ("airlock-daemon", "airlock", "airlock_daemon")


def reload_daemon(locations: Locations) -> Reload:
    """Have the daemon of this configuration reload; returns the outcome of that or a later reload.

    Raises AirlockError if no such daemon runs, or if it ends or does not answer.
    """
    with _opened_daemon(locations) as (pid, pidfd):
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        began = time.monotonic()
        signal.pidfd_send_signal(pidfd, signal.SIGHUP)
        while time.monotonic() - began < PATIENCE_S:
            posted = find_published(locations.sockets_dir)
            if posted is not None and posted.pid == pid:
                reload = posted.status.reload
                if reload is not None and reload.began >= began:
                    return reload
            if poll.poll(_LOOK_MS):
                raise AirlockError("the daemon ended before it had reloaded", hint=LOOK_AT_MESSAGES)
    raise AirlockError(
        f"the daemon has not said within {PATIENCE_S:g} s that it has reloaded",
        hint=LOOK_AT_MESSAGES,
    )


@contextmanager
def _opened_daemon(locations: Locations) -> Iterator[tuple[int, int]]:
    """The running daemon's pid and pidfd, valid in the block."""
    pid = _find_pid(locations)
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        raise _not_running(locations) from None
    try:
        # It still locks its status file, so the pidfd is of the process found before.
        if _find_pid(locations) != pid:
            raise _not_running(locations)
        if not is_daemon(pid):
            raise AirlockError(
                f"process {pid} locks the status file in {locations.sockets_dir}, and cannot be "
                "recognised as a daemon of this user's",
                hint="see what it is: ps -fp "
                f"{pid}; if it is the daemon, kill -HUP {pid} has it reload",
            )
        yield pid, pidfd
    finally:
        os.close(pidfd)


def _find_pid(locations: Locations) -> int:
    posted = find_published(locations.sockets_dir)
    if posted is None or posted.status.config_dir != os.path.realpath(locations.config_dir):
        raise _not_running(locations)
    return posted.pid


def _not_running(locations: Locations) -> AirlockError:
    return AirlockError(
        f"no daemon of this user serves {locations.sockets_dir} by {locations.config_file}",
        hint="name its --config and --sockets, or start one: airlock start",
    )


def is_daemon(pid: int) -> bool:
    """Whether a process is a daemon that handles SIGHUP, as far as /proc tells its own user.

    A daemon is not dumpable, so /proc/PID/exe and others are closed to its own user.
    """
    try:
        status = dict(
            line.split(":\t", 1)
            for line in read_process_entry(pid, "status").splitlines()
            if ":\t" in line
        )
        words = read_process_entry(pid, "cmdline").split("\0")
    except OSError:
        return False
    # proc_pid_status(5): real, effective, saved and file system uid; pids from outer to inner
    # namespace; a mask of caught signals, the lowest bit for signal 1.
    is_own = set(status.get("Uid", "").split()) == {str(os.geteuid())}
    is_here = status.get("NSpid", "").split() == [str(pid)]
    caught = int(status.get("SigCgt", "0"), 16)
    is_caught = bool(caught >> (signal.SIGHUP - 1) & 1)
    return is_own and is_here and is_caught and _runs_daemon(words)


def _runs_daemon(words: list[str]) -> bool:
    """Whether a command line is a daemon's: the program, or an interpreter's script."""
    program, *rest = words
    first = next((word for word in rest if not word.startswith("-")), "")
    return any(os.path.basename(word) in _PROGRAMS for word in (program, first))
