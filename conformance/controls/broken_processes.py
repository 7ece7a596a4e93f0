"""Daemons that are wrong about signals, variables, terminals and passed descriptors.

Each class says in `caught_by` which case must fail for it. If the case passes, the case is blind.
"""

# ruff: noqa: ARG002, D102, D106, N801 -- each class says what its one method or type does otherwise

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from broken import BrokenDaemon
from reference_channel import Channel
from reference_messages import Resize, Signal, Stdin
from reference_requests import Request
from reference_run import Run
from reference_stdio import Stdio


class SignalsTheToolAlone(BrokenDaemon):
    """Sends a signal to the tool and not to its process group."""

    caught_by = "daemon/signals-process-group"

    class run_type(Run):
        def heed(self, message: Stdin | Signal | Resize) -> None:
            if isinstance(message, Signal):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pid, signal.Signals[message.name])
                return
            super().heed(message)


class AlwaysTerminates(BrokenDaemon):
    """Takes every signal for SIGTERM."""

    caught_by = "daemon/signals-int"

    class run_type(Run):
        def heed(self, message: Stdin | Signal | Resize) -> None:
            super().heed(Signal(name="SIGTERM") if isinstance(message, Signal) else message)


class BlocksWhileItSends(BrokenDaemon):
    """Reads nothing while the client does not read."""

    caught_by = "daemon/messages-while-output-stands"

    def relay(self, client: Channel, stream: str, data: bytes | str) -> None:
        super().relay(client, stream, data)
        client.flush()


class NamesNoSignal(BrokenDaemon):
    """Leaves out the name of the signal."""

    caught_by = "daemon/exit-signal-kill"

    def result(self, code: int, in_use: frozenset[str]) -> dict[str, Any]:
        return super().result(code, frozenset())


class GuessesSignals(BrokenDaemon):
    """Takes an exit status beyond 128 for a signal."""

    caught_by = "daemon/exit-signal-status-like-a-signal"

    def result(self, code: int, in_use: frozenset[str]) -> dict[str, Any]:
        return super().result(128 - code if code > 128 else code, in_use)


class SignalUnasked(BrokenDaemon):
    """Names the signal to those who did not ask for it."""

    caught_by = "daemon/exit-signal-not-in-use"

    def result(self, code: int, in_use: frozenset[str]) -> dict[str, Any]:
        return super().result(code, in_use | {"exit-signal"})


class ForwardsEverything(BrokenDaemon):
    """Gives the tool all variables of the client."""

    caught_by = "daemon/env-not-named"

    def environment(self, request: Request, in_use: frozenset[str]) -> dict[str, str | bytes]:
        return {**super().environment(request, in_use), **request.env}


class ForwardsUnasked(BrokenDaemon):
    """Gives the tool variables although env is not in use."""

    caught_by = "daemon/env-in-the-base"

    def environment(self, request: Request, in_use: frozenset[str]) -> dict[str, str | bytes]:
        return super().environment(request, in_use | {"env"})


class ClientWins(BrokenDaemon):
    """Lets the client's variables win over those that the module sets."""

    caught_by = "daemon/env-module-sets"

    def environment(self, request: Request, in_use: frozenset[str]) -> dict[str, str | bytes]:
        built = super().environment(request, in_use)
        return {**built, **{name: value for name, value in request.env.items() if name in built}}


class TerminalForAll(BrokenDaemon):
    """Gives the tool a terminal on all streams if the client has one on any."""

    caught_by = "daemon/tty-terminal-on-stdin-stdout"

    def execute(self, client: Channel, request: Request) -> dict[str, Any]:
        if request.tty is not None:
            all_streams = {"stdin": True, "stdout": True, "stderr": True}
            request = replace(request, tty={**request.tty, **all_streams})
        return super().execute(client, request)


class FixedSize(BrokenDaemon):
    """Gives every terminal the same size."""

    caught_by = "daemon/tty-size"

    def execute(self, client: Channel, request: Request) -> dict[str, Any]:
        if request.tty is not None:
            request = replace(request, tty={**request.tty, "rows": 24, "cols": 80})
        return super().execute(client, request)


class NeverResizes(BrokenDaemon):
    """Leaves the terminal the size that it had."""

    caught_by = "daemon/tty-resize"

    class run_type(Run):
        def heed(self, message: Stdin | Signal | Resize) -> None:
            if not isinstance(message, Resize):
                super().heed(message)


class AllIsStdout(BrokenDaemon):
    """Sends what a terminal shows as stdout, whatever the client has there."""

    caught_by = "daemon/tty-output-on-stderr"

    def relay(self, client: Channel, stream: str, data: bytes | str) -> None:
        super().relay(client, "stdout", data)


class NoTerm(BrokenDaemon):
    """Does not tell the tool what the terminal is like."""

    caught_by = "daemon/tty-term"

    def environment(self, request: Request, in_use: frozenset[str]) -> dict[str, str | bytes]:
        return super().environment(replace(request, tty=None), in_use)


class NoControllingTerminal(BrokenDaemon):
    """Gives the tool a terminal that does not control it."""

    caught_by = "daemon/tty-controlling"

    class run_type(Run):
        class stdio_type(Stdio):
            def spawn(
                self,
                argv: Sequence[bytes],
                *,
                directory: str,
                environment: Mapping[str, str | bytes],
            ) -> subprocess.Popen[bytes]:
                self._path = ""
                return super().spawn(argv, directory=directory, environment=environment)


class CopiesOutput(BrokenDaemon):
    """Sends a copy of what the tool writes to the client's descriptors."""

    caught_by = "daemon/fds-both-outputs"

    def result(self, code: int, in_use: frozenset[str]) -> dict[str, Any]:
        self.was_passed = "fds" in in_use
        return super().result(code, in_use)

    def perform(self, client: Channel, request: Request) -> dict[str, Any]:
        result = super().perform(client, request)
        if self.was_passed:
            self.relay(client, "stdout", "out\n")
        return result


class KeepsDescriptors(BrokenDaemon):
    """Leaves the client's descriptors open."""

    caught_by = "daemon/fds-released"

    def execute(self, client: Channel, request: Request) -> dict[str, Any]:
        self.kept = [os.dup(descriptor) for descriptor in client.descriptors]
        return super().execute(client, request)


class OutlivesItsClient(BrokenDaemon):
    """Lets a command with the client's descriptors run on after a hang-up."""

    caught_by = "daemon/fds-hang-up"

    class run_type(Run):
        def _end_descendants(self) -> None:
            if "fds" not in self._in_use:
                super()._end_descendants()
