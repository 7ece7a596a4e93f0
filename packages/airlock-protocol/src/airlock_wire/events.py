"""What `next_event` of a session returns."""

from enum import Enum
from typing import Final, Literal

from msgspec import Struct

from airlock_wire.error_object import ErrorObject
from airlock_wire.messages import Stream


class NeedData(Enum):
    """The type of `NEED_DATA`."""

    NEED_DATA = "need-data"


NEED_DATA: Final = NeedData.NEED_DATA
"""Nothing can be said before more bytes come: read, and call `receive_data`."""


class HalfClosed(Struct, frozen=True):
    """The client sends nothing more. It may still be reading."""


class Output(Struct, frozen=True, kw_only=True):
    """A piece of the command's output."""

    stream: Stream
    data: str


class Result(Struct, frozen=True, kw_only=True):
    """The command has ended; `exit_code` is 128+n where signal n ended it."""

    exit_code: int


class Decision(Struct, frozen=True, kw_only=True):
    """The command would be allowed, as far as the steps go that were consulted."""

    decision: Literal["allowed"] = "allowed"
    not_consulted: tuple[str, ...] = ()


class ErrorResponse(Struct, frozen=True, kw_only=True):
    """The request was refused, or failed. `error.data` is None where the daemon sent none."""

    error: ErrorObject
