"""`airlock reload`.

SIGHUP, which ends most other processes, requests a reload. It is sent only to a process of this
user in this pid namespace (a container has its own) that publishes the status of the daemon, runs
airlock-daemon and handles the signal, through a pidfd, so that its pid cannot be reused for another
process. On macOS it is sent right after the process was found to lock the status file.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.cli.output import plain, print_message
from airlock_daemon.errors import LOOK_AT_MESSAGES, AirlockError
from airlock_daemon.platform.system import find_missing
from airlock_daemon.setup.paths import Locations
from airlock_daemon.setup.status import DaemonStatus, Reload

# The timeout of a reload in seconds, and the interval between checks.
PATIENCE_S = 60.0
_LOOK_MS = 20

_PROGRAMS = ("airlock-daemon", "airlock", "airlock_daemon")


def reload(application: Application) -> None:
    """Tell the running daemon to read its files again.

    The daemon reads everything that `start` reads, and uses it at once. If anything has a fault, it
    keeps what it had; but an agent whose only fault is in its workspaces is no longer served, and
    the others are. Running commands finish under the rules that they began with. SIGHUP does the
    same; this command waits until it is done, and prints which agents were added, changed and
    removed, or each fault.

    The daemon is that of --config and --sockets, started by the same user; it reads the
    registration that it was started with. Only a restart changes these options, [log] path, and the
    daemon's own environment.

    Exits with 0 if the daemon has reloaded and serves all agents, else with 1.
    """
    if application.agents:
        registration = application.find_registration()
        if registration.has_daemon and not registration.is_served:
            raise AirlockError(
                f"the running daemon was not started with --agents {registration.path}",
                hint="without --agents it reads the registration that it was started with; "
                "another one takes a new start",
            )
    outcome = reload_running(application.locations)
    application.print(dump_reload(outcome), () if outcome.faults else describe_reload(outcome))
    if outcome.faults:
        print_faults(outcome)
    print_unserved(outcome)
    if outcome.faults or outcome.unserved:
        raise typer.Exit(1)


def reload_running(locations: Locations) -> Reload:
    """Wait until the running daemon of this configuration has reloaded; returns the outcome.

    Raises AirlockError if no daemon runs, or it does not answer.
    """
    if find_missing():
        raise AirlockError(
            "no daemon runs here: serving needs Linux or macOS",
            hint="reload it on the host where it runs",
        )
    return reload_daemon(locations)


def try_reload(locations: Locations) -> Reload:
    """As `reload_running`, but a daemon that does not answer is reported as the one fault."""
    began = time.monotonic()
    try:
        return reload_running(locations)
    except AirlockError as error:
        told = "; ".join(filter(None, (error.message, error.hint)))
        return Reload(began=began, ended=time.time(), faults=(told,))


def dump_reload(outcome: Reload) -> dict[str, Any]:
    """A reload's outcome as JSON data."""
    return {
        "reloaded": not outcome.faults,
        "added": outcome.added,
        "changed": outcome.changed,
        "removed": outcome.removed,
        "unserved": outcome.unserved,
        "faults": outcome.faults,
    }


def describe_reload(outcome: Reload) -> Iterator[str]:
    """A reload without faults as lines, one for each changed agent."""
    kinds = {"added": outcome.added, "changed": outcome.changed, "removed": outcome.removed}
    for kind, names in kinds.items():
        for name in names:
            yield f"{kind}: {_plain(name)}"
    yield "reloaded" if any(kinds.values()) else "reloaded: no agent has changed"


def print_faults(outcome: Reload) -> None:
    """Print to stderr what prevents the daemon's reload, in its own words."""
    count = len(outcome.faults)
    print_message(
        *map(_plain, outcome.faults),
        f"{count} {'fault' if count == 1 else 'faults'} found: the daemon goes on with what it had",
    )


def print_unserved(outcome: Reload) -> None:
    """Print to stderr which agents the daemon does not serve, and why."""
    for name, faults in outcome.unserved.items():
        print_message(*(f"agent {_plain(name)} is not served: {_plain(fault)}" for fault in faults))


def _plain(text: str) -> str:
    return "\n".join(map(plain, text.split("\n")))


def reload_daemon(locations: Locations) -> Reload:
    """Have the daemon of this configuration reload; returns the outcome of that or a later reload.

    Raises AirlockError if no such daemon runs, or if it ends or does not answer.
    """
    with _opened_daemon(locations) as daemon:
        began = time.monotonic()
        daemon.hang_up()
        while time.monotonic() - began < PATIENCE_S:
            posted = DaemonStatus.find_published(locations.sockets_dir)
            if posted is not None and posted.pid == daemon.pid:
                reload = posted.status.reload
                if reload is not None and reload.began >= began:
                    return reload
            if daemon.wait_end(_LOOK_MS):
                raise AirlockError("the daemon ended before it had reloaded", hint=LOOK_AT_MESSAGES)
    raise AirlockError(
        f"the daemon has not said within {PATIENCE_S:g} s that it has reloaded",
        hint=LOOK_AT_MESSAGES,
    )


class _Running:
    """A running daemon, by a pidfd or on macOS by its pid. Its owner must `close` it."""

    def __init__(self, pid: int) -> None:
        """Raises OSError for a process that has ended."""
        self.pid = pid
        self._pidfd = -1
        self._poll = select.poll()
        if sys.platform == "linux":
            self._pidfd = os.pidfd_open(pid)
            self._poll.register(self._pidfd, select.POLLIN)

    def hang_up(self) -> None:
        """Send it SIGHUP."""
        if sys.platform == "linux":
            signal.pidfd_send_signal(self._pidfd, signal.SIGHUP)
        else:
            os.kill(self.pid, signal.SIGHUP)

    def wait_end(self, milliseconds: int) -> bool:
        """Wait at most that long for its end; whether it has ended."""
        if self._poll.poll(milliseconds):
            return True
        if self._pidfd < 0:
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                return True
        return False

    def close(self) -> None:
        """Close the pidfd."""
        if self._pidfd >= 0:
            os.close(self._pidfd)


@contextmanager
def _opened_daemon(locations: Locations) -> Iterator[_Running]:
    """The running daemon, valid in the block."""
    pid = _find_pid(locations)
    try:
        daemon = _Running(pid)
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
        yield daemon
    finally:
        daemon.close()


def _find_pid(locations: Locations) -> int:
    posted = DaemonStatus.find_published(locations.sockets_dir)
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

    A daemon is not dumpable, so /proc/PID/exe and others are closed to its own user. macOS tells
    the arguments alone, and those only to a process's own user.
    """
    try:
        if sys.platform != "linux":
            from airlock_daemon.platform.system import read_arguments  # noqa: PLC0415

            return _runs_daemon(read_arguments(pid))
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            words = file.read().split("\0")
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            status = dict(line.split(":\t", 1) for line in file if ":\t" in line)
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
