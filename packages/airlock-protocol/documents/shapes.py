"""The kinds of message there are, each with full examples, for schemas and documents."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from airlock_wire.client import RequestMessage
from airlock_wire.errors import ErrorObject
from airlock_wire.events import FEATURES, Columns, Request, Rows, SignalName, Stream, Terminal
from airlock_wire.messages import (
    METHOD,
    CreditMessage,
    CreditParams,
    DecisionMessage,
    DecisionResult,
    ErrorMessage,
    ExitResult,
    ResultMessage,
    StartMessage,
    StartParams,
    Version,
    encode_message,
)

_ENCODING = Meta(description="`base64` where `data` is that; left out where `data` is text.")


class Shape(Struct, frozen=True, kw_only=True):
    """One kind of message: its file name, who sends it, its type, and lines without newline."""

    name: str
    sender: str
    type: type[Struct]
    examples: tuple[str, ...]


class OutputParams(Struct, frozen=True, kw_only=True):
    """What was written."""

    stream: Annotated[Stream, Meta(description="Where the command wrote it.")]
    encoding: Annotated[Literal["base64"] | UnsetType, _ENCODING] = UNSET
    data: Annotated[str, Meta(description="What it wrote.")]


class OutputMessage(Struct, frozen=True, kw_only=True):
    """A piece of the command's output, sent while it runs."""

    jsonrpc: Version
    method: Annotated[Literal["output"], METHOD]
    params: OutputParams


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


def list_shapes() -> tuple[Shape, ...]:
    """Every kind of message of the protocol, in the order of a conversation."""
    return (
        Shape(name="request", sender="client", type=RequestMessage, examples=_requests()),
        Shape(name="start", sender="daemon", type=StartMessage, examples=_starts()),
        Shape(name="output", sender="daemon", type=OutputMessage, examples=_outputs()),
        Shape(name="stdin", sender="client", type=StdinMessage, examples=_stdin()),
        Shape(name="credit", sender="daemon", type=CreditMessage, examples=_credits()),
        Shape(name="signal", sender="client", type=SignalMessage, examples=_signals()),
        Shape(name="resize", sender="client", type=ResizeMessage, examples=_resizes()),
        Shape(name="exec-result", sender="daemon", type=ResultMessage, examples=_results()),
        Shape(name="check-result", sender="daemon", type=DecisionMessage, examples=_decisions()),
        Shape(name="error", sender="daemon", type=ErrorMessage, examples=_errors()),
    )


def _requests() -> tuple[str, ...]:
    push = Request(
        id=1,
        method="exec",
        command="git",
        args=("push", "origin", "main"),
        cwd="/workspace",
        container_id="4f" * 32,
    )
    not_utf8 = Request(
        id="b-2", method="exec", command="git", args=("add", "caf\udce9.txt"), cwd="/workspace"
    )
    question = Request(id=3, method="check", command="git", args=("push", "--force"))
    on_a_terminal = Request(
        id=4,
        method="exec",
        command="terraform",
        args=("apply",),
        cwd="/workspace",
        features=FEATURES,
        terminal=Terminal(
            stdin=True, stdout=True, stderr=True, rows=24, cols=80, term="xterm-256color"
        ),
        env={"LANG": "C.UTF-8", "TF_VAR_owner": "caf\udce9"},
    )
    requests = (push, not_utf8, question, on_a_terminal)
    return tuple(_line(request.encode()) for request in requests)


def _starts() -> tuple[str, ...]:
    starts = (
        StartParams(features=("base64", "stdin", "signals", "exit-signal"), stdin_credit=262_144),
        StartParams(features=("signals", "exit-signal", "env", "fds")),
        StartParams(features=()),
    )
    return tuple(
        _encode(StartMessage(jsonrpc="2.0", method="start", params=params)) for params in starts
    )


def _outputs() -> tuple[str, ...]:
    pieces = (
        OutputParams(stream="stdout", data="Everything up-to-date\n"),
        OutputParams(stream="stderr", data="Username: "),
        OutputParams(stream="stdout", encoding="base64", data="/w=="),
    )
    return tuple(
        _encode(OutputMessage(jsonrpc="2.0", method="output", params=params)) for params in pieces
    )


def _stdin() -> tuple[str, ...]:
    pieces = (
        StdinParams(data="yes\n"),
        StdinParams(encoding="base64", data="/w=="),
        StdinParams(eof=True),
        StdinParams(data="no\n", eof=True),
    )
    return tuple(
        _encode(StdinMessage(jsonrpc="2.0", method="stdin", params=params)) for params in pieces
    )


def _credits() -> tuple[str, ...]:
    params = CreditParams(bytes=65_536)
    return (_encode(CreditMessage(jsonrpc="2.0", method="credit", params=params)),)


def _signals() -> tuple[str, ...]:
    params = SignalParams(name="SIGINT")
    return (_encode(SignalMessage(jsonrpc="2.0", method="signal", params=params)),)


def _resizes() -> tuple[str, ...]:
    params = ResizeParams(rows=50, cols=120)
    return (_encode(ResizeMessage(jsonrpc="2.0", method="resize", params=params)),)


def _results() -> tuple[str, ...]:
    results = (
        ExitResult(exit_code=0),
        ExitResult(exit_code=0, stdin_bytes=4096),
        ExitResult(exit_code=137, signal="SIGKILL"),
    )
    return tuple(
        _encode(ResultMessage(jsonrpc="2.0", id=Raw(b"1"), result=result)) for result in results
    )


def _decisions() -> tuple[str, ...]:
    results = (
        DecisionResult(decision="allowed"),
        DecisionResult(decision="allowed", not_consulted=("workspace", "concurrency")),
    )
    return tuple(
        _encode(DecisionMessage(jsonrpc="2.0", id=Raw(b"3"), result=result)) for result in results
    )


def _errors() -> tuple[str, ...]:
    with_id = (
        ErrorObject.denied(
            "git push --force is denied",
            layer="module",
            rule="push & --force",
            hint="ask the owner of the host if this is needed",
        ),
        ErrorObject.unknown_command("kubectl", hint="add it to commands.enable in config.toml"),
        ErrorObject.unknown_method("list"),
        ErrorObject.invalid_params("params.args[3] must be a string", path="params.args[3]"),
        ErrorObject.failed(
            "terraform is not an executable on the host", hint="install it on the host"
        ),
    )
    without_id = (
        ErrorObject.parse_error("the request is not UTF-8 (byte 17)"),
        ErrorObject.invalid_request("the request has no id, so it could not be answered"),
    )
    return (
        *(
            _encode(ErrorMessage(jsonrpc="2.0", id=Raw(b"null"), error=error))
            for error in without_id
        ),
        *(_encode(ErrorMessage(jsonrpc="2.0", id=Raw(b"1"), error=error)) for error in with_id),
    )


def _encode(message: Struct) -> str:
    return _line(encode_message(message))


def _line(data: bytes) -> str:
    return data.decode().removesuffix("\n")
