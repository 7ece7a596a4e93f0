"""The client's side of one connection, as a state machine without I/O.

Its rules: one request, sent first; then any number of output notifications, then one response,
which ends the session. The response's id is not compared: there is one response per connection, and
released daemons answer with 0 if they could not read the id. It asks for no features: it speaks the
base protocol.

Theory of operation: write the bytes of `send_request`, pass received bytes to `receive_data`, and
call `next_event` until it returns the response. Decoding is tolerant: released daemons send no
`data` with an error; later daemons may send unknown members and notifications.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from airlock_wire.decoding import Refused, decode_request
from airlock_wire.errors import ErrorData, ErrorObject, LocalProtocolError, RemoteProtocolError
from airlock_wire.events import NEED_DATA, Limits, Method, NeedData, Request, Stream, Terminal
from airlock_wire.grammar import LineReader, LineTooLong
from airlock_wire.messages import DecisionResult, Id, Version, encode_message
from airlock_wire.text import encode_base64


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


class Output(Struct, frozen=True, kw_only=True):
    """A piece of the command's output: UTF-8, with U+FFFD for invalid bytes."""

    stream: Stream
    data: bytes


class Result(Struct, frozen=True, kw_only=True):
    """The command has ended; `exit_code` is 128+n if signal n ended it."""

    exit_code: int


class Decision(Struct, frozen=True, kw_only=True):
    """The command would be allowed by all steps but those `not_consulted`."""

    decision: Literal["allowed"] = "allowed"
    not_consulted: tuple[str, ...] = ()


class ErrorResponse(Struct, frozen=True, kw_only=True):
    """The request was refused, or failed. `error.data` is None if the daemon sent none."""

    error: ErrorObject


Reply = Output | Result | Decision | ErrorResponse


class _Envelope(Struct, frozen=True):
    method: str | UnsetType = UNSET
    params: Raw = Raw(b"null")
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class _Output(Struct, frozen=True):
    stream: Stream
    data: str


class _BareError(Struct, frozen=True):
    code: int
    message: str
    data: Raw = Raw(b"null")


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


def decode_reply(line: bytes) -> Reply | None:
    """Return the event of one line of a daemon, or None for an unknown notification.

    Raises RemoteProtocolError if the line is no message of the protocol.
    """
    try:
        envelope = _ENVELOPE.decode(str(line, "utf-8"))
        if envelope.method is not UNSET:
            return _decode_output(envelope.params) if envelope.method == "output" else None
        if envelope.error is not UNSET:
            return ErrorResponse(error=_decode_error(envelope.error))
        if envelope.result is not UNSET:
            return _decode_result(envelope.result)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(
            ErrorObject.parse_error(f"the daemon sent what is no message: {error}")
        ) from error
    raise RemoteProtocolError(
        ErrorObject.invalid_request("the daemon sent neither a notification nor a response")
    )


def _decode_output(params: Raw) -> Output:
    output = msgspec.json.decode(params, type=_Output)
    return Output(stream=output.stream, data=output.data.encode())


def _decode_result(raw: Raw) -> Result | Decision:
    members = msgspec.json.decode(raw, type=dict[str, Raw])
    if "exit_code" in members:
        return msgspec.json.decode(raw, type=Result)
    decision = msgspec.json.decode(raw, type=DecisionResult)
    return Decision(decision=decision.decision, not_consulted=decision.not_consulted)


def _decode_error(raw: Raw) -> ErrorObject:
    error = msgspec.json.decode(raw, type=_BareError)
    try:
        data = msgspec.json.decode(error.data, type=ErrorData)
    except ValueError:
        # The code and the message suffice; ignore unknown data.
        data = None
    return ErrorObject(error.code, error.message, data)


class ClientSession:
    """The client's side of one connection; see the module for its rules.

    `message_bytes` limits one message of the daemon, without its newline; released daemons may send
    all output in one message.
    """

    def __init__(self, *, message_bytes: int = 67_108_864) -> None:
        self._message_bytes = message_bytes
        self._reader = LineReader(message_bytes)
        self._fault: ErrorObject | None = None
        self._is_sent = False
        self._is_closed = False
        self._is_answered = False

    def send_request(self, request: Request) -> bytes:
        """Return the bytes of the request.

        Raises LocalProtocolError for a second request, for one with features, and for one that no
        daemon could accept.
        """
        if self._is_sent:
            raise LocalProtocolError("a connection carries one request, and it has been sent")
        if request.features is not None:
            raise LocalProtocolError("this client speaks the base protocol, without features")
        line = request.encode()
        # Validate by our own decoder, but without limits: those are the daemon's.
        unlimited = Limits(request_bytes=len(line), arguments=len(request.args))
        decoded = decode_request(line, limits=unlimited)
        if isinstance(decoded, Refused):
            raise LocalProtocolError(decoded.error.message)
        self._is_sent = True
        return line

    def receive_data(self, data: bytes | bytearray) -> None:
        """Add bytes from the daemon; empty means that it closed the connection."""
        if not data:
            self._is_closed = True
        elif not self._is_answered and self._fault is None:
            self._reader.receive(data)

    def next_event(self) -> Reply | NeedData:
        """Return the next event: output, then the response.

        Raises RemoteProtocolError, on every call, if the daemon broke the protocol or closed before
        its response; LocalProtocolError after the response.
        """
        if self._is_answered:
            raise LocalProtocolError("the response has been read, and nothing follows it")
        if self._fault is not None:
            raise RemoteProtocolError(self._fault)
        try:
            event = self._read()
        except RemoteProtocolError as error:
            self._fault = error.error
            self._reader.discard()
            raise
        if not isinstance(event, Output | NeedData):
            self._is_answered = True
        return event

    def _read(self) -> Reply | NeedData:
        while (line := self._next_line()) is not None:
            event = decode_reply(line)
            if event is not None:
                return event
        if self._is_closed:
            raise RemoteProtocolError(
                ErrorObject.parse_error("the daemon closed the connection before its response")
            )
        return NEED_DATA

    def _next_line(self) -> bytes | None:
        try:
            return self._reader.next_line()
        except LineTooLong:
            raise RemoteProtocolError(
                ErrorObject.parse_error(
                    f"the daemon sent a message of more than {self._message_bytes} bytes"
                )
            ) from None


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
