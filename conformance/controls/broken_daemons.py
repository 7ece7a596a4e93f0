"""Daemons with one fault each: the negative controls of the suite.

Each class says in `caught_by` which case must fail for it. If the case passes, the case is blind.
"""

# ruff: noqa: ARG002, D102, D106, N801 -- each class says what its one method or type does otherwise

import json
import os
import subprocess
from typing import Any

from broken import BrokenDaemon
from reference_channel import Channel
from reference_requests import Refusal, Request
from reference_run import ClientGoneError, Run


class IdZero(BrokenDaemon):
    """Answers errors with the id 0, as the first implementation did."""

    caught_by = "daemon/ids-string-refused"

    def error_id(self, known: Any) -> Any:
        return 0


class NumberForString(BrokenDaemon):
    """Takes an id of digits for a number."""

    caught_by = "daemon/ids-digits"

    def send(self, client: Channel, message: dict[str, Any]) -> None:
        match message:
            case {"id": str(text)} if text.isdigit():
                message = {**message, "id": int(text)}
        super().send(client, message)


class ErrorsWithoutData(BrokenDaemon):
    """Sends errors of a code and a message alone."""

    caught_by = "daemon/refusals-denied-by-the-module"

    def error(self, refusal: Refusal) -> dict[str, Any]:
        return {name: value for name, value in refusal.error.items() if name != "data"}


class CheckRuns(BrokenDaemon):
    """Runs the tool for `check` too."""

    caught_by = "daemon/requests-check-does-not-run"

    def perform(self, client: Channel, request: Request) -> dict[str, Any]:
        self.execute(client, request)
        return super().perform(client, request)


class FirstDuplicateCounts(BrokenDaemon):
    """Takes the first of duplicate members."""

    caught_by = "daemon/requests-duplicate-command"

    def parse(self, line: bytes) -> Any:
        return json.loads(line, object_pairs_hook=lambda pairs: dict(reversed(pairs)))


class BatchRuns(BrokenDaemon):
    """Takes a batch of one for the request in it."""

    caught_by = "daemon/invalid-requests-batch"

    def parse(self, line: bytes) -> Any:
        value = super().parse(line)
        return value[0] if isinstance(value, list) and value else value


class ContainerDecides(BrokenDaemon):
    """Refuses a client by the container that it names itself, though nothing contradicts it."""

    caught_by = "daemon/bridged-container-another"

    def parse(self, line: bytes) -> Any:
        value = super().parse(line)
        if value["params"].get("container_id"):
            raise Refusal(-32600, "unknown container", request_id=value["id"], kind="denied")
        return value


class LenientText(BrokenDaemon):
    """Replaces bytes that are not UTF-8 instead of refusing them."""

    caught_by = "daemon/parse-errors-not-utf-8"

    def parse(self, line: bytes) -> Any:
        return super().parse(line.decode("utf-8", "replace").encode())


class NoLimit(BrokenDaemon):
    """Waits for the newline of a request however much comes before it."""

    caught_by = "daemon/refusals-over-size-without-newline"
    max_request_bytes = 1 << 40


class HalfCloseIsTheEnd(BrokenDaemon):
    """Takes a half-closed client for one that is gone."""

    caught_by = "daemon/connection-half-close-after-the-request"

    class run_type(Run):
        def _heed_client(self, events: int) -> None:
            super()._heed_client(events)
            if self._channel.ended:
                raise ClientGoneError


class StaysOpen(BrokenDaemon):
    """Leaves the connection open after the response, until the client closes it."""

    caught_by = "daemon/requests-least"

    def finish(self, client: Channel) -> None:
        while client.connection.recv(1):
            pass


class SpeaksOn(BrokenDaemon):
    """Sends a message after the response."""

    caught_by = "daemon/requests-least"

    def finish(self, client: Channel) -> None:
        self.relay(client, "stdout", "one more thing")


class AnswersTwice(BrokenDaemon):
    """Serves the second request of a connection too."""

    caught_by = "daemon/connection-two-requests"

    def start(self, client: Channel, request: Request, in_use: frozenset[str]) -> None:
        return

    def finish(self, client: Channel) -> None:
        line = client.next_line()
        if line is not None:
            self.answer(client, line)


class StartUnasked(BrokenDaemon):
    """Announces features to a client that named none."""

    caught_by = "daemon/requests-least"

    def start(self, client: Channel, request: Request, in_use: frozenset[str]) -> None:
        self.send(client, {"method": "start", "params": {"features": []}})


class OutputAtTheEnd(BrokenDaemon):
    """Sends output only when the tool has ended."""

    caught_by = "daemon/output-prompt"

    def execute(self, client: Channel, request: Request) -> dict[str, Any]:
        self.held: list[tuple[str, bytes | str]] = []
        result = super().execute(client, request)
        for stream, data in self.held:
            super().relay(client, stream, data)
        return result

    def relay(self, client: Channel, stream: str, data: bytes | str) -> None:
        self.held.append((stream, data))


class SplitsCharacters(BrokenDaemon):
    """Decodes each read for itself, so that a character between two reads is lost."""

    caught_by = "daemon/output-split-character"

    class run_type(Run):
        def decode(self, stream: str, data: bytes, *, final: bool = False) -> bytes | str:
            return data.decode("utf-8", "replace")


class SignalIsOne(BrokenDaemon):
    """Reports a tool that a signal ended as exit status 1."""

    caught_by = "daemon/results-signal-kill"

    def result(self, code: int, in_use: frozenset[str]) -> dict[str, Any]:
        return {"exit_code": 1} if code < 0 else super().result(code, in_use)


class Shell(BrokenDaemon):
    """Runs the command line through a shell."""

    caught_by = "daemon/requests-arguments"

    def execute(self, client: Channel, request: Request) -> dict[str, Any]:
        program = self.modules[request.command]["command"]["bin"]
        line = " ".join([program, *map(os.fsdecode, request.args)])
        done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=False)
        self.relay(client, "stdout", done.stdout.decode())
        return {"exit_code": done.returncode}


class LeavesDescendants(BrokenDaemon):
    """Ends the tool alone and leaves what it started."""

    caught_by = "daemon/connection-end-ends-descendants"

    class run_type(Run):
        def _end_descendants(self) -> None:
            return


class SeesPositionalsOnly(BrokenDaemon):
    """Takes every word that starts with a dash for no business of the rules."""

    caught_by = "rules/arguments-long-flag"

    def rules(self, module: dict[str, Any]) -> list[str]:
        return [rule for rule in super().rules(module) if not rule.startswith("-")]


class HalfSets(BrokenDaemon):
    """Takes the first part of a set for the whole."""

    caught_by = "rules/sets-all-parts"

    def rules(self, module: dict[str, Any]) -> list[str]:
        return [rule.partition(" & ")[0] for rule in super().rules(module)]
