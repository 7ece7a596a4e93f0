"""Daemons that are wrong about output and stdin.

Each class says in `caught_by` which case must fail for it. If the case passes, the case is blind.
"""

# ruff: noqa: ARG002, D102, D106, N801 -- each class says what its one method or type does otherwise

import base64
from dataclasses import replace
from typing import Any

from broken import BrokenDaemon
from reference_channel import Channel
from reference_messages import Resize, Signal, Stdin
from reference_requests import Request
from reference_run import Run


class ReplacesBytes(BrokenDaemon):
    """Repairs output although the client could take it as it is."""

    caught_by = "daemon/base64-every-byte"

    def relay(self, client: Channel, stream: str, data: bytes | str) -> None:
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        super().relay(client, stream, text)


class Base64Unasked(BrokenDaemon):
    """Sends base64 to those who did not ask for it."""

    caught_by = "daemon/base64-not-in-use"

    class run_type(Run):
        def decode(self, stream: str, data: bytes, *, final: bool = False) -> bytes | str:
            return data


class Unpadded(BrokenDaemon):
    """Leaves out the padding of base64."""

    caught_by = "daemon/base64-broken-sequences"

    def send(self, client: Channel, message: dict[str, Any]) -> None:
        match message:
            case {"params": {"encoding": "base64", "data": str(data)} as params}:
                params["data"] = data.rstrip("=")
        super().send(client, message)


class LineBuffered(BrokenDaemon):
    """Sends base64 for text too, but only when the command has ended."""

    caught_by = "daemon/base64-prompt"

    def execute(self, client: Channel, request: Request) -> dict[str, Any]:
        self.held: dict[str, bytes] = {}
        result = super().execute(client, request)
        for stream, data in self.held.items():
            encoded = base64.b64encode(data).decode()
            params = {"stream": stream, "encoding": "base64", "data": encoded}
            self.send(client, {"method": "output", "params": params})
        return result

    def relay(self, client: Channel, stream: str, data: bytes | str) -> None:
        raw = data.encode() if isinstance(data, str) else data
        self.held[stream] = self.held.get(stream, b"") + raw


class NoOverdraft(BrokenDaemon):
    """Takes any amount of stdin."""

    caught_by = "daemon/stdin-overdraft"

    class run_type(Run):
        def heed(self, message: Stdin | Signal | Resize) -> None:
            self._outstanding += 1 << 30
            super().heed(message)


class OverdraftOverlooked(BrokenDaemon):
    """Drops what was sent beyond the credit, and goes on."""

    caught_by = "daemon/stdin-overdraft-by-far"

    class run_type(Run):
        def heed(self, message: Stdin | Signal | Resize) -> None:
            if isinstance(message, Stdin):
                message = replace(message, data=message.data[: self._outstanding])
            super().heed(message)


class GrantsNothing(BrokenDaemon):
    """Grants no more than the first credit."""

    caught_by = "daemon/stdin-mebibyte"

    def grant(self, client: Channel, count: int) -> None:
        return


class NoEnd(BrokenDaemon):
    """Never ends the tool's stdin."""

    caught_by = "daemon/stdin-eof-alone"

    class run_type(Run):
        def heed(self, message: Stdin | Signal | Resize) -> None:
            if isinstance(message, Stdin):
                message = replace(message, eof=False)
            super().heed(message)


class EndBeforeData(BrokenDaemon):
    """Ends stdin before the data of the same message."""

    caught_by = "daemon/stdin-data-and-eof"

    class run_type(Run):
        def heed(self, message: Stdin | Signal | Resize) -> None:
            if isinstance(message, Stdin) and message.eof:
                message = replace(message, data=b"")
            super().heed(message)


class HalfCloseIsNoEnd(BrokenDaemon):
    """Waits for the end of stdin from a client that has closed its half."""

    caught_by = "daemon/stdin-half-close-is-eof"

    class run_type(Run):
        def end_stdin(self) -> None:
            return


class TextOnly(BrokenDaemon):
    """Takes base64 of stdin for text."""

    caught_by = "daemon/stdin-base64"

    class run_type(Run):
        def heed(self, message: Stdin | Signal | Resize) -> None:
            if isinstance(message, Stdin):
                message = replace(message, data=base64.b64encode(message.data))
            super().heed(message)
