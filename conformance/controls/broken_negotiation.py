"""Daemons that are wrong about features: what they announce, accept and refuse.

Each class says in `caught_by` which case must fail for it. If the case passes, the case is blind.
"""

# ruff: noqa: ARG002, D102, D106, N801 -- each class says what its one method or type does otherwise

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import reference_requests
from broken import BrokenDaemon
from reference_channel import Channel
from reference_features import FEATURES
from reference_messages import Resize, Signal, Stdin, read_message
from reference_requests import Refusal, Request
from reference_run import Run


class NoStart(BrokenDaemon):
    """Uses features without a word."""

    caught_by = "daemon/features-empty-list"

    def start(self, client: Channel, request: Request, in_use: frozenset[str]) -> None:
        return


class StartTwice(BrokenDaemon):
    """Announces the features a second time."""

    caught_by = "daemon/features-empty-list"

    def start(self, client: Channel, request: Request, in_use: frozenset[str]) -> None:
        super().start(client, request, in_use)
        super().start(client, request, in_use)


class StartAtTheEnd(BrokenDaemon):
    """Announces the features when the command has ended."""

    caught_by = "daemon/features-start-before-a-silent-tool"

    def start(self, client: Channel, request: Request, in_use: frozenset[str]) -> None:
        return

    def result(self, code: int, in_use: frozenset[str]) -> dict[str, Any]:
        self.late = in_use
        return super().result(code, in_use)

    def perform(self, client: Channel, request: Request) -> dict[str, Any]:
        result = super().perform(client, request)
        super().start(client, request, self.late)
        return result


class StartForCheck(BrokenDaemon):
    """Announces features where nothing runs."""

    caught_by = "daemon/features-check-has-no-start"

    def perform(self, client: Channel, request: Request) -> dict[str, Any]:
        if request.method == "check":
            self.start(client, request, frozenset())
        return super().perform(client, request)


class UsesAll(BrokenDaemon):
    """Uses features that nobody asked for."""

    caught_by = "daemon/features-alone-signals"

    def negotiate(self, client: Channel, request: Request) -> frozenset[str]:
        return FEATURES - {"fds", "tty"}


class NeedsAllOrNone(BrokenDaemon):
    """Has features only together."""

    caught_by = "daemon/features-alone-exit-signal"

    def negotiate(self, client: Channel, request: Request) -> frozenset[str]:
        found = super().negotiate(client, request)
        return found if len(found) > 1 else frozenset()


class TerminalUnasked(BrokenDaemon):
    """Announces a terminal where the client has none."""

    caught_by = "daemon/tty-without-the-member"

    def negotiate(self, client: Channel, request: Request) -> frozenset[str]:
        asked = frozenset(request.features or ()) & {"tty"}
        return super().negotiate(client, request) | asked

    def execute(self, client: Channel, request: Request) -> dict[str, Any]:
        tty = {"stdin": False, "stdout": False, "stderr": False, "rows": 1, "cols": 1}
        return super().execute(client, replace(request, tty=request.tty or tty))


class LenientTerminal(BrokenDaemon):
    """Takes any text for the name of a terminal."""

    caught_by = "daemon/features-tty-term-with-an-escape"

    def parse(self, line: bytes) -> Any:
        value = super().parse(line)
        match value:
            case {"params": {"tty": {"term": str()} as tty}}:
                tty["term"] = "xterm"
        return value


class LenientVariables(BrokenDaemon):
    """Does not look at the names of variables."""

    caught_by = "daemon/features-env-name-with-equals"

    def parse(self, line: bytes) -> Any:
        value = super().parse(line)
        match value:
            case {"params": {"env": {"A=B": str(text)} as env}}:
                env["A"] = text
                del env["A=B"]
        return value


class Credulous(BrokenDaemon):
    """Passes any descriptors on."""

    caught_by = "daemon/fds-refused-stdin-file"

    def require_descriptors(self, client: Channel, request: Request) -> None:
        return


class CountsOnly(BrokenDaemon):
    """Passes any three descriptors on, whatever they are."""

    caught_by = "daemon/fds-refused-stdin-fifo-named-like-a-pipe"

    def require_descriptors(self, client: Channel, request: Request) -> None:
        if len(client.descriptors) != 3:
            super().require_descriptors(client, request)


class PassesUnlisted(BrokenDaemon):
    """Takes descriptors for a wish to have them used."""

    caught_by = "daemon/fds-refused-not-listed"

    def require_descriptors(self, client: Channel, request: Request) -> None:
        listed = (*(request.features or ()), "fds")
        super().require_descriptors(client, replace(request, features=listed))


class OverlooksLateDescriptors(BrokenDaemon):
    """Drops descriptors of later bytes without a word."""

    caught_by = "daemon/fds-refused-on-the-second-byte"

    def require_descriptors(self, client: Channel, request: Request) -> None:
        client.strays = False
        super().require_descriptors(client, request)


class KeepsRefusedDescriptors(BrokenDaemon):
    """Leaves descriptors open that it refused."""

    caught_by = "daemon/fds-refused-4-descriptors"

    def require_descriptors(self, client: Channel, request: Request) -> None:
        kept = [*client.descriptors]
        client.descriptors = kept[:]
        try:
            super().require_descriptors(_Holding(client), request)
        except Refusal:
            client.descriptors = []
            raise


class _Holding(Channel):
    """A channel that does not close what came with it."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel.connection)
        self.descriptors = channel.descriptors
        self.strays = channel.strays

    def close_descriptors(self) -> None:
        return


class ReadsNothing(BrokenDaemon):
    """Ignores what the client sends while the command runs."""

    caught_by = "daemon/messages-not-json"

    class run_type(Run):
        def heed_lines(self) -> None:
            self._channel.drop_received()


class EndsForUnknownMethods(BrokenDaemon):
    """Takes a method that it does not know for a fault."""

    caught_by = "daemon/messages-unknown-method"

    class run_type(Run):
        def read(self, line: bytes, in_use: Collection[str]) -> Stdin | Signal | Resize | None:
            message = read_message(line, in_use)
            if message is None:
                raise Refusal(-32601, "unknown method", kind="unknown-method")
            return message


class HeedsUnusedFeatures(BrokenDaemon):
    """Does what messages say of features that are not in use."""

    caught_by = "daemon/messages-signal-not-in-use"

    class run_type(Run):
        def read(self, line: bytes, in_use: Collection[str]) -> Stdin | Signal | Resize | None:
            return read_message(line, FEATURES)


class LenientMessages(BrokenDaemon):
    """Overlooks messages with wrong members."""

    caught_by = "daemon/signals-wrong-unknown"

    class run_type(Run):
        def read(self, line: bytes, in_use: Collection[str]) -> Stdin | Signal | Resize | None:
            try:
                return read_message(line, in_use)
            except Refusal:
                return None


class RunsSecondRequests(BrokenDaemon):
    """Acts on a second request while the first runs."""

    caught_by = "daemon/messages-second-request"

    def execute(self, client: Channel, request: Request) -> dict[str, Any]:
        daemon = self

        class _Run(Run):
            def read(self, line: bytes, in_use: Collection[str]) -> Stdin | Signal | Resize | None:
                message = read_message(line, in_use)
                value = reference_requests.parse(line)
                if message is None and "id" in value:
                    second = reference_requests.require_request(value)
                    daemon.run_type = Run
                    daemon.execute(client, second)
                return message

        self.run_type = _Run
        return super().execute(client, request)
