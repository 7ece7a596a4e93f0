"""The events that a `ServerSession` returns; those of a client are in `replies`."""

from enum import Enum
from typing import Final

from msgspec import Struct

from airlock_wire.features import SignalName


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
