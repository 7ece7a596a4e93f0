"""The events that a session's `next_event` returns."""

from enum import Enum
from typing import Final, Literal

from msgspec import Struct

from airlock_wire.error_object import ErrorObject
from airlock_wire.features import SignalName
from airlock_wire.notifications import Stream


class NeedData(Enum):
    """The type of `NEED_DATA`."""

    NEED_DATA = "need-data"


NEED_DATA: Final = NeedData.NEED_DATA
"""More bytes are needed: read, and call `receive_data`."""


class HalfClosed(Struct, frozen=True):
    """The client sends nothing more. It may still be reading."""


class StdinData(Struct, frozen=True, kw_only=True):
    """The next bytes of the command's stdin, at least one."""

    data: bytes


class StdinEnd(Struct, frozen=True):
    """The end of the command's stdin."""


class Signal(Struct, frozen=True, kw_only=True):
    """A signal for the command's process group."""

    name: SignalName


class Resize(Struct, frozen=True, kw_only=True):
    """The new size of the client's terminal: 0 to 65535 each, 0 if unknown."""

    rows: int
    cols: int


class Start(Struct, frozen=True, kw_only=True):
    """The command is being run, with these features in use.

    `stdin_credit` is the number of bytes of stdin that may be sent, 0 without `stdin`.
    """

    features: tuple[str, ...]
    stdin_credit: int = 0


class Credit(Struct, frozen=True, kw_only=True):
    """`bytes` more of stdin may be sent, at least one."""

    bytes: int


class Output(Struct, frozen=True, kw_only=True):
    """A piece of the command's output.

    With the feature `base64` `data` is exactly what the command wrote; else it is UTF-8, with
    U+FFFD for invalid bytes.
    """

    stream: Stream
    data: bytes


class Result(Struct, frozen=True, kw_only=True):
    """The command has ended; `exit_code` is 128+n if signal n ended it.

    `signal` is that signal's name (feature `exit-signal`), `stdin_bytes` the number of bytes of its
    stdin consumed (feature `stdin`); None if the daemon did not send it.
    """

    exit_code: int
    signal: str | None = None
    stdin_bytes: int | None = None


class Decision(Struct, frozen=True, kw_only=True):
    """The command would be allowed by all steps but those `not_consulted`."""

    decision: Literal["allowed"] = "allowed"
    not_consulted: tuple[str, ...] = ()


class ErrorResponse(Struct, frozen=True, kw_only=True):
    """The request was refused, or failed. `error.data` is None if the daemon sent none."""

    error: ErrorObject
