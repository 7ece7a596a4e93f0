"""The daemons of a run: one for each setup, started when a case first asks for it."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from airlock_conformance.checks import Checks
from airlock_conformance.daemon_process import RunningDaemon, last_words, running_daemon
from airlock_conformance.patience import Patience
from airlock_conformance.setup import Installation
from airlock_conformance.violation import Violation


class Daemons:
    """Runs one executable on the setups that cases name. Every user closes it.

    One that does not start is not started again: every case of its setup fails by the same cause.
    One that ends while it serves fails the case that ended it, and is started anew for the next.
    """

    def __init__(
        self,
        executable: str,
        setup: Callable[[str], Mapping[str, Any]],
        *,
        patience: Patience,
        checks: Checks,
    ) -> None:
        self._executable = executable
        self._setup = setup
        self._patience = patience
        self._checks = checks
        self._running: dict[str, RunningDaemon] = {}
        self._stacks: dict[str, contextlib.ExitStack] = {}
        self._refused: dict[str, Violation] = {}
        self.not_started: dict[str, str] = {}
        """Why a daemon did not start, and what it wrote, by the name of the setup."""

    def close(self) -> None:
        """Stop all; raises `Violation` where one does not end, after the others have."""
        with contextlib.ExitStack() as every:
            for stack in self._stacks.values():
                every.callback(stack.close)

    @contextlib.contextmanager
    def serving(self, name: str) -> Iterator[tuple[Installation, float]]:
        """Yield the daemon's installation of a setup, and the seconds that a case of it has."""
        with self._patience.trying(name) as seconds:
            daemon = self._started(name)
            try:
                yield daemon.installation, seconds
            except Violation as violation:
                violation.add_note(last_words(daemon.installation))
                self._checks.require("daemon-stays-up", daemon.faults())
                raise
            self._checks.require("daemon-stays-up", daemon.faults())

    def _started(self, name: str) -> RunningDaemon:
        if name in self._refused:
            raise Violation(str(self._refused[name]))
        if name in self._running:
            daemon = self._running[name]
            if not daemon.faults():
                return daemon
            # It outlived the case that ended it by a moment: the check tells, and no case fails.
            with contextlib.suppress(Violation):
                self._checks.require("daemon-stays-up", daemon.faults())
            del self._running[name]
            self._stacks.pop(name).close()
        self._running[name] = daemon = self._start(name)
        return daemon

    def _start(self, name: str) -> RunningDaemon:
        with contextlib.ExitStack() as stack:
            seconds = self._patience.seconds
            try:
                daemon = stack.enter_context(
                    running_daemon(self._executable, self._setup(name), patience=seconds)
                )
            except Violation as violation:
                self._refused[name] = violation
                notes = getattr(violation, "__notes__", ())
                self.not_started[name] = "\n".join((str(violation), *notes))
                raise
            self._stacks[name] = stack.pop_all()
        return daemon
