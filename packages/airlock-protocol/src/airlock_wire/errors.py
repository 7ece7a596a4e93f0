"""Errors of the package. The type says whose fault it was."""

from airlock_wire.error_object import ErrorObject


class ProtocolError(Exception):
    """Base of this package's errors."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol. Nothing more can be read from it.

    A server sends `error` (`ServerSession.send_error`) and closes.
    """

    def __init__(self, error: ErrorObject) -> None:
        super().__init__(error.message)
        self.error = error


class LocalProtocolError(ProtocolError):
    """Our own side called a session for something that the protocol forbids at this point."""
