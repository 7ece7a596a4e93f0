"""Wire types of a client's messages; see `messages`."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from airlock_wire.errors import LocalProtocolError
from airlock_wire.features import SignalName
from airlock_wire.messages import Id, Method, encode_message
from airlock_wire.notifications import METHOD, Version
from airlock_wire.request import Request
from airlock_wire.terminal import Columns, Rows, Terminal
from airlock_wire.text import encode_base64

ENCODING = Meta(description="`base64` where `data` is that; left out where `data` is text.")


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


class StdinParams(Struct, frozen=True, kw_only=True):
    """What the command is to read: `data`, `eof` or both."""

    encoding: Annotated[Literal["base64"] | UnsetType, ENCODING] = UNSET
    data: Annotated[str | UnsetType, Meta(description="The next bytes of stdin.")] = UNSET
    eof: Annotated[
        bool | UnsetType, Meta(description="`true`: nothing follows, not counting `data`.")
    ] = UNSET


class StdinMessage(Struct, frozen=True, kw_only=True):
    """A piece of stdin, or its end (feature `stdin`)."""

    jsonrpc: Version
    method: Annotated[Literal["stdin"], METHOD]
    params: Annotated[
        StdinParams,
        Meta(extra_json_schema={"minProperties": 1, "dependentRequired": {"encoding": ["data"]}}),
    ]


class SignalParams(Struct, frozen=True, kw_only=True):
    """Which signal."""

    name: Annotated[SignalName, Meta(description="Its name, as in signal(7).")]


class SignalMessage(Struct, frozen=True, kw_only=True):
    """A signal for the command's process group (feature `signals`)."""

    jsonrpc: Version
    method: Annotated[Literal["signal"], METHOD]
    params: SignalParams


class ResizeParams(Struct, frozen=True, kw_only=True):
    """The new size."""

    rows: Rows
    cols: Columns


class ResizeMessage(Struct, frozen=True, kw_only=True):
    """The client's terminal has another size (feature `tty`)."""

    jsonrpc: Version
    method: Annotated[Literal["resize"], METHOD]
    params: ResizeParams


def encode_request(request: Request) -> bytes:
    """As `Request.encode`."""
    try:
        params = RequestParams(
            command=request.command,
            args=tuple(_to_wire(arg) for arg in request.args),
            cwd=None if request.cwd is None else _to_wire(request.cwd),
            container_id=request.container_id,
            features=UNSET if request.features is None else request.features,
            tty=UNSET if request.terminal is None else request.terminal,
            env={name: _to_wire(value) for name, value in request.env.items()} or UNSET,
        )
        message = RequestMessage(
            jsonrpc="2.0",
            id=Raw(msgspec.json.encode(request.id)),
            method=request.method,
            params=params,
        )
        return encode_message(message)
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"a text of the request cannot be sent: {error}") from error


def _to_wire(text: str) -> str | EncodedText:
    encoded = encode_base64(text)
    return text if encoded is None else EncodedText(base64=encoded)
