"""Airlock's wire protocol: messages, framing and sessions, without I/O.

A daemon drives a `ServerSession`, a client a `ClientSession`, each end of a bridge a `BridgeEnd`.
PROTOCOL.md, at the top of the repository, specifies the protocol.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from airlock_wire._version import __version__
from airlock_wire.errors import (
    ErrorData,
    ErrorObject,
    Layer,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
)
from airlock_wire.events import (
    FEATURES,
    NEED_DATA,
    HalfClosed,
    Limits,
    Method,
    NeedData,
    Request,
    Resize,
    Signal,
    SignalName,
    StdinData,
    StdinEnd,
    Stream,
    Terminal,
)
from airlock_wire.messages import PROTOCOL_VERSION
from airlock_wire.output import Line, Piece
from airlock_wire.server import ServerSession
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
    from airlock_wire.client import ClientSession, Decision, ErrorResponse, Output, Result

__all__ = [
    "FEATURES",
    "NEED_DATA",
    "PROTOCOL_VERSION",
    "BridgeEnd",
    "BridgeHello",
    "ClientSession",
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

# A daemon needs no client's session, and seldom a bridge: both are loaded on first use.
_OF_CLIENT = {"ClientSession", "Decision", "ErrorResponse", "Output", "Result"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "client" if name in _OF_CLIENT else "bridge"
    return getattr(import_module(f"airlock_wire.{module}"), name)
