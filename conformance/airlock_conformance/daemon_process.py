"""A daemon under test as a process: started, waited for, stopped."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from airlock_conformance.fifo import release_all
from airlock_conformance.setup import Installation, install
from airlock_conformance.violation import Violation

_TICK_S = 0.02


@contextlib.contextmanager
def running_daemon(
    executable: str, setup: Mapping[str, Any], *, patience: float
) -> Iterator[Installation]:
    """Start `executable` on a setup and yield where its socket and state are.

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
            yield installation
        except Violation as violation:
            violation.add_note(last_words(installation))
            raise
        finally:
            try:
                _stop(process, patience=patience)
            finally:
                release_all(installation.state)


def _options(installation: Installation) -> list[str]:
    return [
        "--config", str(installation.config),
        "--sockets", str(installation.sockets),
        "--agents", str(installation.agents),
    ]  # fmt: skip


def _await_socket(
    process: subprocess.Popen[bytes], installation: Installation, *, patience: float
) -> None:
    # A daemon tells nobody that it is up but those who connect, so that is what is tried.
    for _ in range(int(patience / _TICK_S)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(str(installation.socket)) == 0:
                _let_go(probe, patience=patience)
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = process.wait(timeout=_TICK_S)
            raise Violation(f"the daemon ended with status {status} instead of serving")
    raise Violation(f"no connection to {installation.socket} within {patience:g} s")


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


def last_words(installation: Installation) -> str:
    """Return the end of what the daemon wrote, to show beside a failure."""
    text = installation.log.read_text(errors="replace")
    return f"the daemon wrote:\n{text[-2000:]}" if text else "the daemon wrote nothing"
