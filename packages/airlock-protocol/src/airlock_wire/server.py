"""The daemon's side of one connection, as a state machine without I/O.

Its rules: one request per connection; output only while an `exec` request is open; one response, of
the kind for the method; an error response at any time before that. If the request has a list of
features, one `start` precedes output and result, and only the features that it lists are used.
Bytes after the request are dropped, until a `start` that lists any feature: from then on the
client's messages are events, up to the response. After the client has broken the protocol nothing
more is read from it, but an error can still be sent.

Theory of operation: pass received bytes to `receive_data`, call `next_event` until it returns
NEED_DATA or HalfClosed, and write the bytes that the `send_` methods return, in order. The session
buffers only received bytes not yet returned as events, and at most three bytes of a character for
each output stream.
"""

import functools
from collections.abc import Collection
from typing import Final

from msgspec import UNSET, Raw

from airlock_wire.decoding import NO_ID, Refused, decode_id, decode_request
from airlock_wire.errors import ErrorObject, LocalProtocolError, RemoteProtocolError
from airlock_wire.events import (
    DEFAULT_LIMITS,
    FEATURES,
    NEED_DATA,
    HalfClosed,
    Limits,
    Method,
    NeedData,
    Request,
    Stream,
    find_conflict,
)
from airlock_wire.grammar import Fault, LineReader, LineTooLong
from airlock_wire.interaction import Event, Interaction
from airlock_wire.messages import (
    CreditMessage,
    CreditParams,
    DecisionMessage,
    DecisionResult,
    ErrorMessage,
    ExitResult,
    ResultMessage,
    StartMessage,
    StartParams,
    encode_message,
)
from airlock_wire.output import Line, Piece, TextEncoder, encode_bytes

_HALF_CLOSED: Final = HalfClosed()


class ServerSession:
    """The daemon's side of one connection; see the module for its rules."""

    def __init__(self, *, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._reader = LineReader(limits.request_bytes)
        self._text: TextEncoder | None = None
        self._features: frozenset[str] | None = None
        self._interaction: Interaction | None = None
        self._id = NO_ID
        self._request: Request | None = None
        self._fault: ErrorObject | None = None
        self._is_half_closed = False
        self._is_answered = False

    @property
    def request_id(self) -> str | int | float | None:
        """The request's id, even if the request was refused; None while it is unknown."""
        return None if self._id == NO_ID else decode_id(Raw(self._id))

    @property
    def credit(self) -> int:
        """The bytes of stdin that the client may still send; 0 if `stdin` is not in use."""
        return 0 if self._interaction is None else self._interaction.credit

    def receive_data(self, data: bytes | bytearray) -> None:
        """Add bytes from the client; empty means that it closed its sending half.

        Raises LocalProtocolError for bytes after that.
        """
        if self._is_half_closed and data:
            raise LocalProtocolError("data was received after the end of the client's data")
        if not data:
            self._is_half_closed = True
        if self._interaction is not None:
            if not self._is_answered and self._fault is None:
                self._interaction.receive(data)
        elif self._request is None and self._fault is None and not self._reader.has_line:
            self._reader.receive(data)

    def next_event(self) -> Request | Event | NeedData:
        """Return the next event.

        The request is returned once. Then, or if the client sends nothing, NEED_DATA is returned
        until the client closes its sending half, and HalfClosed from then on. After a `start` with
        features each message of the client is returned once, in order, and HalfClosed once after
        the last. Raises RemoteProtocolError, on every call, if the client has broken the protocol.
        """
        if self._fault is not None:
            raise RemoteProtocolError(self._fault)
        if self._interaction is not None and not self._is_answered:
            try:
                return self._interaction.next_event()
            except Fault as fault:
                raise self._refuse(fault.error) from None
        if self._request is None:
            line = self._next_line()
            if line is not None:
                return self._accept(line)
            if self._is_half_closed and not self._reader.is_empty:
                raise self._refuse(ErrorObject.parse_error("the request ended before its newline"))
        return _HALF_CLOSED if self._is_half_closed else NEED_DATA

    def send_start(self, features: Collection[str], *, stdin_credit: int = 0) -> bytes:
        """Return the message that the command is being run, with these features in use.

        `stdin_credit` is the initial number of bytes of stdin that the client may send, if `stdin`
        is in use. Raises LocalProtocolError if no `exec` with a list of features awaits it, and for
        features that the client did not request or that exclude each other.
        """
        request = self._require("exec")
        if self._features is not None:
            raise LocalProtocolError("the start has been sent already")
        in_use = frozenset(features)
        line = _encode_start(request, features=in_use, stdin_credit=stdin_credit)
        self._features = in_use
        if in_use:
            # It has dropped what followed the request.
            self._interaction = Interaction(self._reader, features=in_use, credit=stdin_credit)
            if self._is_half_closed:
                self._interaction.receive(b"")
        return line

    def send_credit(self, count: int) -> bytes:
        """Return the message that grants `count` more bytes of stdin, at least one.

        Raises LocalProtocolError if `stdin` is not in use.
        """
        self._require_running()
        if self._interaction is None or not self._uses("stdin"):
            raise LocalProtocolError("stdin is not in use, so there is no credit for it")
        if count < 1:
            raise LocalProtocolError(f"credit is at least 1, not {count}")
        self._interaction.credit += count
        params = CreditParams(bytes=count)
        return encode_message(CreditMessage(jsonrpc="2.0", method="credit", params=params))

    def send_output(self, stream: Stream, data: Piece) -> Line:
        """Return the message for output of the command, byte for byte if `base64` is in use.

        Else invalid UTF-8 becomes U+FFFD, and the result is empty if `data` is only part of a
        character, which is sent with its rest. Raises LocalProtocolError if no command can be
        running, before the start that the client awaits, and for stdout if `fds` is in use: then
        a daemon sends only stderr, and only if it has that itself, as for a broker.
        """
        self._require_running()
        if stream == "stdout" and self._uses("fds"):
            raise LocalProtocolError("fds is in use, so no output of stdout passes here")
        if self._uses("base64"):
            return encode_bytes(stream, data)
        if self._text is None:
            self._text = TextEncoder()
        return self._text.encode(stream, data)

    def send_result(
        self, exit_code: int, *, signal: str | None = None, stdin_bytes: int | None = None
    ) -> bytes:
        """Return the response to `exec`: the command's exit status (128+n for signal n).

        `signal` is the name of signal n, `stdin_bytes` the number of bytes of stdin consumed; each
        is omitted unless its feature is in use. Raises LocalProtocolError if no `exec` request is
        open, and before the start that the client awaits.
        """
        self._require_running()
        result = ExitResult(
            exit_code=exit_code,
            signal=signal if signal is not None and self._uses("exit-signal") else UNSET,
            stdin_bytes=stdin_bytes if stdin_bytes is not None and self._uses("stdin") else UNSET,
        )
        return self._answer(ResultMessage(jsonrpc="2.0", id=Raw(self._id), result=result))

    def send_decision(self, *, not_consulted: tuple[str, ...] = ()) -> bytes:
        """Return the response to `check`: allowed by all steps but those `not_consulted`.

        Raises LocalProtocolError if no `check` request is open.
        """
        self._require("check")
        result = DecisionResult(decision="allowed", not_consulted=not_consulted)
        return self._answer(DecisionMessage(jsonrpc="2.0", id=Raw(self._id), result=result))

    def send_error(self, error: ErrorObject) -> bytes:
        """Return the error response, at any time before another response.

        Its id is null if none could be read. Raises LocalProtocolError after a response.
        """
        if self._is_answered:
            raise LocalProtocolError("the request has been answered already")
        return self._answer(ErrorMessage(jsonrpc="2.0", id=Raw(self._id), error=error))

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

    def _uses(self, feature: str) -> bool:
        return self._features is not None and feature in self._features

    def _require(self, method: Method) -> Request:
        if self._is_answered:
            raise LocalProtocolError("the request has been answered already")
        if self._request is None or self._request.method != method:
            raise LocalProtocolError(f"there is no {method} request to answer")
        return self._request

    def _require_running(self) -> None:
        request = self._require("exec")
        if request.features is not None and self._features is None:
            raise LocalProtocolError("the client sent features, so the start comes before this")

    def _answer(self, message: ResultMessage | DecisionMessage | ErrorMessage) -> bytes:
        self._is_answered = True
        held_back = b"" if self._text is None else self._text.flush()
        return held_back + encode_message(message)


def _encode_start(request: Request, *, features: frozenset[str], stdin_credit: int) -> bytes:
    """Return the `start` that answers `request`.

    Raises LocalProtocolError for features that the client did not request, that this version lacks,
    or that this request or the other features exclude.
    """
    if request.features is None:
        raise LocalProtocolError("the client asked for no features, so there is no start")
    unasked = features - set(request.features).intersection(FEATURES)
    if unasked:
        raise LocalProtocolError(f"the client did not ask for {', '.join(sorted(unasked))}")
    if "tty" in features and (request.terminal is None or not request.terminal.is_wanted):
        raise LocalProtocolError("tty cannot be in use: the client has no terminal")
    return _encode_features(features, stdin_credit)


@functools.lru_cache(maxsize=64)
def _encode_features(features: frozenset[str], stdin_credit: int) -> bytes:
    conflict = find_conflict(features, stdin_credit=stdin_credit)
    if conflict is not None:
        raise LocalProtocolError(conflict)
    params = StartParams(
        features=tuple([name for name in FEATURES if name in features]),
        stdin_credit=stdin_credit or UNSET,
    )
    return encode_message(StartMessage(jsonrpc="2.0", method="start", params=params))
