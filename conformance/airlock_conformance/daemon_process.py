"""A daemon under test as a process: started, waited for, stopped."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airlock_conformance.fifo import release_all
from airlock_conformance.setup import Installation, install
from airlock_conformance.violation import TimedOut, Violation

_TICK_S = 0.02
_PF_EXITING = 0x4  # include/linux/sched.h


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningDaemon:
    """A daemon that has begun to serve, and where its socket and state are."""

    installation: Installation
    process: subprocess.Popen[bytes]

    def faults(self) -> list[str]:
        """Return that it has ended by itself, if it has or is about to."""
        status = self.process.poll()
        if status is None and _is_exiting(self.process.pid):
            status = self.process.wait()
        return [] if status is None else [f"the daemon ended by itself, with status {status}"]


@contextlib.contextmanager
def running_daemon(
    executable: str, setup: Mapping[str, Any], *, patience: float
) -> Iterator[RunningDaemon]:
    """Start `executable` on a setup and yield it when it serves.

    It is called as ``EXE --config DIR --sockets DIR --agents FILE start`` with a home directory of
    its own, and ended by SIGTERM. Raises `Violation` if it accepts no connection, or does not end,
    within `patience` seconds.
    """
    # The path of a unix socket holds 107 bytes at most: pytest's own directories are too deep.
    with tempfile.TemporaryDirectory(prefix="airlock-") as name, contextlib.ExitStack() as stack:
        root = Path(name).resolve()
        installation = install(setup, root)
        home = root / "home"
        home.mkdir(mode=0o700)
        log = stack.enter_context(installation.log.open("wb"))
        process = subprocess.Popen(
            [executable, *_options(installation), "start"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "HOME": str(home)},
        )
        try:
            _await_socket(process, installation, patience=patience)
            yield RunningDaemon(installation=installation, process=process)
        except Violation as violation:
            violation.add_note(last_words(installation))
            raise
        finally:
            try:
                _stop(process, patience=patience)
            finally:
                release_all(installation.state)


def _is_exiting(pid: int) -> bool:
    # The kernel marks a process before it closes its connections (proc_pid_stat(5), flags).
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return bool(int(fields[6]) & _PF_EXITING)


def last_words(installation: Installation) -> str:
    """Return the end of what the daemon wrote, to show beside a failure."""
    text = installation.log.read_text(errors="replace")
    return f"the daemon wrote:\n{text[-2000:]}" if text else "the daemon wrote nothing"


def _options(installation: Installation) -> list[str]:
    return [
        "--config", str(installation.config),
        "--sockets", str(installation.sockets),
        "--agents", str(installation.agents),
    ]  # fmt: skip


def _await_socket(
    process: subprocess.Popen[bytes], installation: Installation, *, patience: float
) -> None:
    # A daemon is known to be up by those who connect, so that is what is tried.
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(str(installation.socket)) == 0:
                _let_go(probe, patience=patience)
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = process.wait(timeout=_TICK_S)
            raise Violation(f"the daemon ended with status {status} instead of serving")
    raise TimedOut(f"no connection to the agent's socket within {patience:g} s of the start")


def _let_go(probe: socket.socket, *, patience: float) -> None:
    """Wait until the daemon has closed the probe too, which counts against its limits till then."""
    probe.settimeout(patience)
    with contextlib.suppress(OSError):
        probe.shutdown(socket.SHUT_WR)
        while probe.recv(4096):
            continue


def _stop(process: subprocess.Popen[bytes], *, patience: float) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise Violation(f"the daemon did not end within {patience:g} s of SIGTERM") from None
