"""Ending a request before its time."""

from typing import Literal

import trio

from airlock_wire import ErrorObject

Reason = Literal["hangup", "stop", "removed", "fault"]


class Ending:
    """The way to end one request before its time: a scope to cancel, and why it was cancelled.

    `error` is what to tell a client that caused it by a fault of its own.
    """

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.reason: Reason | None = None
        self.error: ErrorObject | None = None

    def end(self, reason: Reason) -> None:
        """End the request; the first reason counts."""
        if self.reason is None:
            self.reason = reason
            self.scope.cancel()

    def hang_up(self) -> None:
        """End the request since its client has hung up."""
        self.end("hangup")

    def fail(self, error: ErrorObject) -> None:
        """End the request because the client has broken the protocol."""
        if self.reason is None:
            self.error = error
            self.end("fault")
