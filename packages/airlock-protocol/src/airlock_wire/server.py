"""The daemon's side of one connection, as a state machine without I/O.

The rules that it keeps: one request a connection; output only while an `exec` request is open;
one response, of the kind that the method asks for; an error response at any time before that.
What a client sends after its request is dropped unread. When the client has broken the protocol
nothing more is read from it, and an error can still be sent.

Theory of operation: feed what was received to `receive_data`, ask `next_event` what it means, and
write the bytes that the `send_` methods return, in their order. Nothing is kept but the line that
is being read and at most three bytes of a character for each stream of output.
"""

from typing import Final

from msgspec import Raw

from airlock_wire.classification import NO_ID, decode_id
from airlock_wire.decoding import Refused, decode_request
from airlock_wire.error_object import ErrorObject
from airlock_wire.errors import LocalProtocolError, RemoteProtocolError
from airlock_wire.events import NEED_DATA, HalfClosed, NeedData
from airlock_wire.framing import LineReader, LineTooLong
from airlock_wire.limits import DEFAULT_LIMITS, Limits
from airlock_wire.messages import (
    DecisionMessage,
    DecisionResult,
    ErrorMessage,
    ExitResult,
    Method,
    ResultMessage,
    Stream,
    encode_message,
)
from airlock_wire.output import OutputEncoder
from airlock_wire.request import Request

_HALF_CLOSED: Final = HalfClosed()


class ServerSession:
    """One connection, seen from the daemon. See the module for its rules."""

    def __init__(self, *, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._reader = LineReader(limits.request_bytes)
        self._output = OutputEncoder()
        self._id = NO_ID
        self._request: Request | None = None
        self._fault: ErrorObject | None = None
        self._is_half_closed = False
        self._is_answered = False

    @property
    def request_id(self) -> str | int | float | None:
        """The request's id, also where the request was refused; None while it is not known."""
        return None if self._id == NO_ID else decode_id(Raw(self._id))

    def receive_data(self, data: bytes) -> None:
        """Take bytes that the client sent; empty means that it sends nothing more.

        Raises LocalProtocolError for bytes after that.
        """
        if self._is_half_closed and data:
            raise LocalProtocolError("data was received after the end of the client's data")
        if not data:
            self._is_half_closed = True
        elif self._is_reading and not self._reader.has_line:
            self._reader.receive(data)

    def next_event(self) -> Request | HalfClosed | NeedData:
        """What the bytes so far mean.

        The request comes once. Afterwards it is NEED_DATA until the client has closed its sending
        half, and HalfClosed from then on; so too where it closed without a word. Raises
        RemoteProtocolError, each time anew, where the client has broken the protocol.
        """
        if self._fault is not None:
            raise RemoteProtocolError(self._fault)
        if self._request is None:
            line = self._next_line()
            if line is not None:
                return self._accept(line)
            if self._is_half_closed and not self._reader.is_empty:
                raise self._refuse(ErrorObject.parse_error("the request ended before its newline"))
        return _HALF_CLOSED if self._is_half_closed else NEED_DATA

    def send_output(self, stream: Stream, data: bytes) -> bytes:
        """The bytes that pass on output of the command.

        They are empty where `data` only begins a character, whose rest must come first. Bytes that
        are not UTF-8 become U+FFFD. Raises LocalProtocolError where no command can be running.
        """
        self._require("exec")
        return self._output.encode(stream, data)

    def send_result(self, exit_code: int) -> bytes:
        """The response to `exec`: the command ended with this status (128+n for signal n).

        Raises LocalProtocolError where no `exec` request is open.
        """
        self._require("exec")
        result = ResultMessage(
            jsonrpc="2.0", id=Raw(self._id), result=ExitResult(exit_code=exit_code)
        )
        return self._answer(result)

    def send_decision(self, *, not_consulted: tuple[str, ...] = ()) -> bytes:
        """The response to `check`: allowed, as far as the steps go that were consulted.

        Raises LocalProtocolError where no `check` request is open.
        """
        self._require("check")
        result = DecisionResult(decision="allowed", not_consulted=not_consulted)
        return self._answer(DecisionMessage(jsonrpc="2.0", id=Raw(self._id), result=result))

    def send_error(self, error: ErrorObject) -> bytes:
        """The response that refuses, at any time before another one.

        Its id is null where none could be read. Raises LocalProtocolError after a response.
        """
        if self._is_answered:
            raise LocalProtocolError("the request has been answered already")
        return self._answer(ErrorMessage(jsonrpc="2.0", id=Raw(self._id), error=error))

    @property
    def _is_reading(self) -> bool:
        return self._request is None and self._fault is None

    def _next_line(self) -> bytes | None:
        try:
            return self._reader.next_line()
        except LineTooLong:
            raise self._refuse(
                ErrorObject.parse_error(
                    f"the request is longer than {self._limits.request_bytes} bytes",
                    hint="pass long input in a file of the workspace",
                )
            ) from None

    def _accept(self, line: bytes) -> Request:
        self._reader.discard()
        decoded = decode_request(line, limits=self._limits)
        self._id = decoded.id
        if isinstance(decoded, Refused):
            raise self._refuse(decoded.error)
        self._request = decoded.request
        return decoded.request

    def _refuse(self, error: ErrorObject) -> RemoteProtocolError:
        self._fault = error
        self._reader.discard()
        return RemoteProtocolError(error)

    def _require(self, method: Method) -> None:
        if self._is_answered:
            raise LocalProtocolError("the request has been answered already")
        if self._request is None or self._request.method != method:
            raise LocalProtocolError(f"there is no {method} request to answer")

    def _answer(self, message: ResultMessage | DecisionMessage | ErrorMessage) -> bytes:
        self._is_answered = True
        return self._output.flush() + encode_message(message)
