"""One small tree of errors: each has a message and a hint."""

import errno

from airlock_modules import Fault
from airlock_wire import ErrorObject, Layer

AND_RELOAD = ", and run: airlock reload"
"""The end of a hint to edit a file that a running daemon has read already."""
LOOK_AT_MESSAGES = "its messages say why: look at its terminal, journalctl or docker logs"
"""The hint for a daemon that does not answer properly."""


class AirlockError(Exception):
    """Base of everything the daemon raises on purpose.

    `message` says what was wrong and where; `hint` says what to do. It is empty only in `Declined`
    and `SetupError`, which explain why.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def to_wire(self) -> ErrorObject:
        """The answer to the request that this error ends."""
        return ErrorObject.failed(self.message, hint=self.hint)


class Denied(AirlockError):
    """A step refuses the request (on the wire: -32600 with `data.kind` "denied")."""

    def __init__(self, message: str, *, layer: Layer, rule: str | None, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.layer: Layer = layer
        self.rule = rule

    def to_wire(self) -> ErrorObject:
        """As `AirlockError.to_wire`."""
        return ErrorObject.denied(self.message, layer=self.layer, rule=self.rule, hint=self.hint)


class Failed(AirlockError):
    """The request was allowed, or not yet decided, and could not be performed (-32603)."""


NO_DESCRIPTORS = "the daemon has no file descriptors left"

_FULL_TABLE = (errno.EMFILE, errno.ENFILE)


def is_full_table(error: BaseException) -> bool:
    """Whether the process's or the host's descriptor table is full."""
    return isinstance(error, OSError) and error.errno in _FULL_TABLE


def full_table() -> Failed:
    """The error for a request that needs one more descriptor."""
    return Failed(
        NO_DESCRIPTORS,
        hint="close connections, or raise the limit of open files (ulimit -n) for the daemon",
    )


def own_fault(error: Exception) -> Failed:
    """The error for a client if the daemon fails by its own fault."""
    return Failed(
        f"the daemon failed: {type(error).__name__}",
        hint="this is a fault of Airlock's own: a person on the host finds the details in the "
        "daemon's messages, and can report it",
    )


class Declined(AirlockError):
    """The person at the terminal said no. Nothing was done, and nothing needs doing."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="")


class SetupError(AirlockError):
    """Files on disk have faults; `faults` has all of them, each with its remedy."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults), hint="")
        self.faults = faults


class UnknownCommand(AirlockError):
    """The command has no enabled module (-32601)."""

    def __init__(self, message: str, *, command: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.command = command

    def to_wire(self) -> ErrorObject:
        """As `AirlockError.to_wire`."""
        return ErrorObject.unknown_command(self.command, hint=self.hint)
