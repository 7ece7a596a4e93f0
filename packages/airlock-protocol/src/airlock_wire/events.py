"""What `next_event` of a session returns."""

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
"""Nothing can be said before more bytes come: read, and call `receive_data`."""


class HalfClosed(Struct, frozen=True):
    """The client sends nothing more. It may still be reading."""


class StdinData(Struct, frozen=True, kw_only=True):
    """The next bytes of the command's stdin, at least one."""

    data: bytes


class StdinEnd(Struct, frozen=True):
    """The command's stdin ends here."""


class Signal(Struct, frozen=True, kw_only=True):
    """A signal for the command's process group."""

    name: SignalName


class Resize(Struct, frozen=True, kw_only=True):
    """The client's terminal has another size: 0 to 65535 each, 0 where it is not known."""

    rows: int
    cols: int


class Start(Struct, frozen=True, kw_only=True):
    """The command is being run, with these features in use.

    `stdin_credit` is how many bytes of stdin may be sent, 0 without the feature `stdin`.
    """

    features: tuple[str, ...]
    stdin_credit: int = 0


class Credit(Struct, frozen=True, kw_only=True):
    """So many more bytes of stdin may be sent, at least one."""

    bytes: int


class Output(Struct, frozen=True, kw_only=True):
    """A piece of the command's output.

    With the feature `base64` it is what the command wrote, byte for byte; else UTF-8, with U+FFFD
    for what was not.
    """

    stream: Stream
    data: bytes


class Result(Struct, frozen=True, kw_only=True):
    """The command has ended; `exit_code` is 128+n where signal n ended it.

    `signal` is that signal's name (feature `exit-signal`), and `stdin_bytes` how many bytes of its
    stdin were taken (feature `stdin`); None where the daemon did not say.
    """

    exit_code: int
    signal: str | None = None
    stdin_bytes: int | None = None


class Decision(Struct, frozen=True, kw_only=True):
    """The command would be allowed, as far as the steps go that were consulted."""

    decision: Literal["allowed"] = "allowed"
    not_consulted: tuple[str, ...] = ()


class ErrorResponse(Struct, frozen=True, kw_only=True):
    """The request was refused, or failed. `error.data` is None where the daemon sent none."""

    error: ErrorObject
