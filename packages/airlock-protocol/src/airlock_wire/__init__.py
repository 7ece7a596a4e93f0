"""Airlock's wire protocol: messages, framing and sessions, without I/O.

A daemon drives a `ServerSession`, a client a `ClientSession`, each end of a bridge a `BridgeEnd`.
PROTOCOL.md, at the top of the repository, specifies the protocol.
"""

from typing import TYPE_CHECKING

from airlock_wire._version import __version__
from airlock_wire.error_object import ErrorData, ErrorObject, Layer
from airlock_wire.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from airlock_wire.events import (
    NEED_DATA,
    Credit,
    Decision,
    ErrorResponse,
    HalfClosed,
    NeedData,
    Output,
    Resize,
    Result,
    Signal,
    Start,
    StdinData,
    StdinEnd,
)
from airlock_wire.features import FEATURES, SignalName
from airlock_wire.limits import Limits
from airlock_wire.messages import PROTOCOL_VERSION, Method
from airlock_wire.notifications import Stream
from airlock_wire.pieces import Line, Piece
from airlock_wire.request import Request
from airlock_wire.server import ServerSession
from airlock_wire.terminal import Terminal
from airlock_wire.text import encode_text, escape, is_shown, quote

if TYPE_CHECKING:
    from airlock_wire.bridge import (
        BridgeEnd,
        BridgeHello,
        Pinged,
        Ponged,
        StreamClosed,
        StreamCredit,
        StreamData,
        StreamEnded,
        StreamOpened,
    )
    from airlock_wire.client import ClientSession

__all__ = [
    "FEATURES",
    "NEED_DATA",
    "PROTOCOL_VERSION",
    "BridgeEnd",
    "BridgeHello",
    "ClientSession",
    "Credit",
    "Decision",
    "ErrorData",
    "ErrorObject",
    "ErrorResponse",
    "HalfClosed",
    "Layer",
    "Limits",
    "Line",
    "LocalProtocolError",
    "Method",
    "NeedData",
    "Output",
    "Piece",
    "Pinged",
    "Ponged",
    "ProtocolError",
    "RemoteProtocolError",
    "Request",
    "Resize",
    "Result",
    "ServerSession",
    "Signal",
    "SignalName",
    "Start",
    "StdinData",
    "StdinEnd",
    "Stream",
    "StreamClosed",
    "StreamCredit",
    "StreamData",
    "StreamEnded",
    "StreamOpened",
    "Terminal",
    "__version__",
    "encode_text",
    "escape",
    "is_shown",
    "quote",
]


_BRIDGE = frozenset(
    {
        "BridgeEnd",
        "BridgeHello",
        "Pinged",
        "Ponged",
        "StreamClosed",
        "StreamCredit",
        "StreamData",
        "StreamEnded",
        "StreamOpened",
    }
)


def __getattr__(name: str) -> object:
    # Loaded on first use: a daemon never needs a client's session, and seldom a bridge.
    if name == "ClientSession":
        from airlock_wire.client import ClientSession  # noqa: PLC0415

        return ClientSession
    if name in _BRIDGE:
        from airlock_wire import bridge  # noqa: PLC0415

        return getattr(bridge, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
