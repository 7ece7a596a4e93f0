"""Errors of the package. Their type says whose fault it was."""

from airlock_wire.error_object import ErrorObject


class ProtocolError(Exception):
    """Base of what this package raises."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol. Nothing more can be read from it.

    `error` says how; a server sends it (`ServerSession.send_error`) and closes.
    """

    def __init__(self, error: ErrorObject) -> None:
        super().__init__(error.message)
        self.error = error


class LocalProtocolError(ProtocolError):
    """Our own side asked a session for what the protocol does not allow at this point."""
