"""Wire types of the request and the responses, one for each kind of message.

The JSON schemas are generated from these types and those of `notifications`; the first line of each
docstring is a description there. Both sides ignore unknown members. Members are sent in this order.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from airlock_wire.error_object import ErrorObject
from airlock_wire.notifications import Version
from airlock_wire.terminal import Terminal

PROTOCOL_VERSION: Final = "0.5"
"""The version of the protocol, not of this distribution."""

Method = Literal["exec", "check"]

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


class EncodedText(Struct, frozen=True):
    """Bytes that are not UTF-8, in place of a string."""

    base64: Annotated[str, Meta(description="Padded base64, standard alphabet.")]


class RequestParams(Struct, frozen=True, kw_only=True):
    """What to run, and where."""

    command: Annotated[str, Meta(description="The name of the command, as the client calls it.")]
    args: Annotated[
        tuple[str | EncodedText, ...], Meta(description="Its arguments, without the name.")
    ]
    cwd: Annotated[
        str | EncodedText | None, Meta(description="The client's working directory.")
    ] = None
    container_id: Annotated[
        str | None, Meta(description="The container that the client thinks it is in: a hint.")
    ] = None
    features: Annotated[
        tuple[str, ...] | UnsetType,
        Meta(description="The features that the client can use; `exec` then awaits `start`."),
    ] = UNSET
    tty: Annotated[
        Terminal | UnsetType, Meta(description="The client's terminal, for the feature `tty`.")
    ] = UNSET
    env: Annotated[
        dict[str, str | EncodedText] | UnsetType,
        Meta(
            description="The client's environment, for the feature `env`.",
            extra_json_schema={"propertyNames": {"pattern": "^[^=\\u0000]+$"}},
        ),
    ] = UNSET


class RequestMessage(Struct, frozen=True, kw_only=True):
    """The one message of a client: run a command, or decide whether it would run."""

    jsonrpc: Version
    id: Id
    method: Annotated[Method, Meta(description="`exec` runs the command, `check` only decides.")]
    params: RequestParams


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
