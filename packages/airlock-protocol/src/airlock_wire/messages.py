"""Wire types of a daemon's messages, one for each kind.

The JSON schemas are generated from these types and from those of `client`; the first line of each
docstring is a description there. Both sides ignore unknown members. Members are sent in this order.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from airlock_wire.errors import ErrorObject

PROTOCOL_VERSION: Final = "0.5"
"""The version of the protocol, not of this distribution."""

# An id is kept as the bytes sent: 1, 1.0 and 1e0 are one number, but three ids to a client that
# compares text.
Id = Annotated[
    Raw,
    Meta(
        description="Of the client's choice; a response repeats it.",
        extra_json_schema={"type": ["string", "number"]},
    ),
]
ErrorId = Annotated[
    Raw,
    Meta(
        description="The request's id; null where it could not be read.",
        extra_json_schema={"type": ["string", "number", "null"]},
    ),
]

Version = Annotated[Literal["2.0"], Meta(description="JSON-RPC 2.0.")]

METHOD = Meta(description="A notification: it has no id.")


class StartParams(Struct, frozen=True, kw_only=True):
    """What is in use from here on."""

    features: Annotated[
        tuple[str, ...], Meta(description="Those that the client asked for and that are in use.")
    ]
    stdin_credit: Annotated[
        Annotated[int, Meta(ge=1)] | UnsetType,
        Meta(description="With `stdin` in use: how many bytes the client may send."),
    ] = UNSET


class StartMessage(Struct, frozen=True, kw_only=True):
    """The first message to a client that sent `params.features`: the command is being run."""

    jsonrpc: Version
    method: Annotated[Literal["start"], METHOD]
    params: StartParams


class CreditParams(Struct, frozen=True, kw_only=True):
    """How much more."""

    bytes: Annotated[int, Meta(ge=1, description="How many more bytes the client may send.")]


class CreditMessage(Struct, frozen=True, kw_only=True):
    """More of stdin is welcome (feature `stdin`)."""

    jsonrpc: Version
    method: Annotated[Literal["credit"], METHOD]
    params: CreditParams


class ExitResult(Struct, frozen=True, kw_only=True):
    """How the command ended."""

    exit_code: Annotated[
        int, Meta(description="The command's exit status; 128+n where signal n ended it.")
    ]
    signal: Annotated[
        str | UnsetType,
        Meta(description="The signal that ended it, as in signal(7); feature `exit-signal`."),
    ] = UNSET
    stdin_bytes: Annotated[
        Annotated[int, Meta(ge=0)] | UnsetType,
        Meta(description="How many bytes of stdin were taken; feature `stdin`."),
    ] = UNSET


class ResultMessage(Struct, frozen=True, kw_only=True):
    """The response to `exec`: the command has ended."""

    jsonrpc: Version
    id: Id
    result: ExitResult


class DecisionResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was decided."""

    decision: Annotated[Literal["allowed"], Meta(description="A refusal is an error response.")]
    not_consulted: Annotated[
        tuple[str, ...],
        Meta(description="Steps of `exec` that were not looked at, and may still refuse."),
    ] = ()


class DecisionMessage(Struct, frozen=True, kw_only=True):
    """The response to `check`: the command would be allowed."""

    jsonrpc: Version
    id: Id
    result: DecisionResult


class ErrorMessage(Struct, frozen=True, kw_only=True):
    """The response to a request that was refused, or that failed."""

    jsonrpc: Version
    id: ErrorId
    error: ErrorObject


def encode_message(message: Struct) -> bytes:
    """Return `message` as a line with its newline."""
    return msgspec.json.encode(message) + b"\n"
