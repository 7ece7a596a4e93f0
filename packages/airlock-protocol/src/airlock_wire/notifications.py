"""Wire types of the notifications of both sides; see `messages`."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from airlock_wire.features import SignalName
from airlock_wire.terminal import Columns, Rows

Stream = Literal["stdout", "stderr"]

Version = Annotated[Literal["2.0"], Meta(description="JSON-RPC 2.0.")]

_METHOD = Meta(description="A notification: it has no id.")
_ENCODING = Meta(description="`base64` where `data` is that; left out where `data` is text.")


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
    method: Annotated[Literal["start"], _METHOD]
    params: StartParams


class OutputParams(Struct, frozen=True, kw_only=True):
    """What was written."""

    stream: Annotated[Stream, Meta(description="Where the command wrote it.")]
    encoding: Annotated[Literal["base64"] | UnsetType, _ENCODING] = UNSET
    data: Annotated[str, Meta(description="What it wrote.")]


class OutputMessage(Struct, frozen=True, kw_only=True):
    """A piece of the command's output, sent while it runs."""

    jsonrpc: Version
    method: Annotated[Literal["output"], _METHOD]
    params: OutputParams


class CreditParams(Struct, frozen=True, kw_only=True):
    """How much more."""

    bytes: Annotated[int, Meta(ge=1, description="How many more bytes the client may send.")]


class CreditMessage(Struct, frozen=True, kw_only=True):
    """More of stdin is welcome (feature `stdin`)."""

    jsonrpc: Version
    method: Annotated[Literal["credit"], _METHOD]
    params: CreditParams


class StdinParams(Struct, frozen=True, kw_only=True):
    """What the command is to read: `data`, `eof` or both."""

    encoding: Annotated[Literal["base64"] | UnsetType, _ENCODING] = UNSET
    data: Annotated[str | UnsetType, Meta(description="The next bytes of stdin.")] = UNSET
    eof: Annotated[
        bool | UnsetType, Meta(description="`true`: nothing follows, not counting `data`.")
    ] = UNSET


class StdinMessage(Struct, frozen=True, kw_only=True):
    """A piece of stdin, or its end (feature `stdin`)."""

    jsonrpc: Version
    method: Annotated[Literal["stdin"], _METHOD]
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
    method: Annotated[Literal["signal"], _METHOD]
    params: SignalParams


class ResizeParams(Struct, frozen=True, kw_only=True):
    """The new size."""

    rows: Rows
    cols: Columns


class ResizeMessage(Struct, frozen=True, kw_only=True):
    """The client's terminal has another size (feature `tty`)."""

    jsonrpc: Version
    method: Annotated[Literal["resize"], _METHOD]
    params: ResizeParams
