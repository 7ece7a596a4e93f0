"""Wire types of a daemon's notifications; see `messages`."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Stream = Literal["stdout", "stderr"]

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
