"""Having the running daemon reload, without a way for anybody else to have it do so.

It is asked by SIGHUP, which ends most other processes, and what names it lies where a container may
write. So the kernel is asked who holds the lock of the notice, and what process that is: one of
this user in this pid namespace (a container's has one of its own), that runs airlock-daemon and has
a handler for the signal. A pidfd keeps its number from meaning another process meanwhile.
"""

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from airlock_daemon.errors import LOOK_AT_MESSAGES, AirlockError
from airlock_daemon.platform.linux.procfs import read_process_entry
from airlock_daemon.setup.notice import Reload, find_posted
from airlock_daemon.setup.paths import Locations

# How long a reload may take, and how often is looked whether it has ended.
PATIENCE_S = 60.0
_LOOK_MS = 20

_PROGRAMS = ("airlock-daemon", "airlock_daemon")


def reload_daemon(locations: Locations) -> Reload:
    """Have the daemon of this configuration reload; returns how that reload, or a later one, ended.

    Raises AirlockError where no such daemon runs, and where it ends or does not answer.
    """
    with _opened_daemon(locations) as (pid, pidfd):
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        began = time.monotonic()
        signal.pidfd_send_signal(pidfd, signal.SIGHUP)
        while time.monotonic() - began < PATIENCE_S:
            posted = find_posted(locations.sockets_dir)
            if posted is not None and posted.pid == pid:
                reload = posted.notice.reload
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
    """The pid of the running daemon and a descriptor of it, which the block has."""
    pid = _find_pid(locations)
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        raise _not_running(locations) from None
    try:
        # It holds its notice still, so that the descriptor is of the process that held it before.
        if _find_pid(locations) != pid:
            raise _not_running(locations)
        if not is_daemon(pid):
            raise AirlockError(
                f"process {pid} holds the notice in {locations.sockets_dir}, and cannot be "
                "recognised as a daemon of this user's",
                hint="see what it is: ps -fp "
                f"{pid}; if it is the daemon, kill -HUP {pid} has it reload",
            )
        yield pid, pidfd
    finally:
        os.close(pidfd)


def _find_pid(locations: Locations) -> int:
    posted = find_posted(locations.sockets_dir)
    if posted is None or posted.notice.config_dir != os.path.realpath(locations.config_dir):
        raise _not_running(locations)
    return posted.pid


def _not_running(locations: Locations) -> AirlockError:
    return AirlockError(
        f"no daemon of this user serves {locations.sockets_dir} by {locations.config_file}",
        hint="name its --config and --sockets, or start one: airlock-daemon start",
    )


def is_daemon(pid: int) -> bool:
    """Whether a process is a daemon that SIGHUP does not end, as far as /proc tells its own user.

    A daemon is not dumpable, so that /proc/PID/exe and the like are closed to its own user.
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
    """Whether a command line is that of a daemon: the program, or what an interpreter runs."""
    program, *rest = words
    first = next((word for word in rest if not word.startswith("-")), "")
    return any(os.path.basename(word) in _PROGRAMS for word in (program, first))
