"""The client's side of one connection, as a state machine without I/O.

Its rules: one request, sent first; then any number of output notifications, then one response,
which ends the session. The response's id is not compared: there is one response per connection, and
released daemons answer with 0 if they could not read the id.

If the request asks for features, an initial `start` lists those in use; without it the session uses
the base protocol. Only features in use permit sending stdin, signals and sizes, and stdin only up
to the daemon's credit.
"""

from airlock_wire.client_messages import (
    ResizeMessage,
    ResizeParams,
    SignalMessage,
    SignalParams,
    StdinMessage,
    StdinParams,
)
from airlock_wire.decoding import Refused, decode_request
from airlock_wire.error_object import ErrorObject
from airlock_wire.errors import LocalProtocolError, RemoteProtocolError
from airlock_wire.events import NEED_DATA, NeedData
from airlock_wire.features import SignalName
from airlock_wire.framing import LineReader, LineTooLong
from airlock_wire.limits import Limits
from airlock_wire.messages import encode_message
from airlock_wire.pieces import Line, Piece, PieceEncoder
from airlock_wire.replies import Credit, Output, Reply, ReplyReader, Start
from airlock_wire.request import Request

_STDIN = PieceEncoder(b'{"jsonrpc":"2.0","method":"stdin","params":{')


class ClientSession:
    """The client's side of one connection; see the module for its rules.

    `message_bytes` limits one message of the daemon, without its newline; released daemons may send
    all output in one message.
    """

    def __init__(self, *, message_bytes: int = 67_108_864) -> None:
        self._message_bytes = message_bytes
        self._reader = LineReader(message_bytes)
        self._replies = ReplyReader()
        self._fault: ErrorObject | None = None
        self._credit = 0
        self._is_sent = False
        self._is_stdin_over = False
        self._is_closed = False
        self._is_answered = False

    @property
    def credit(self) -> int:
        """The number of bytes of stdin that may be sent now."""
        return self._credit

    def send_request(self, request: Request) -> bytes:
        """Return the bytes of the request.

        Raises LocalProtocolError for a second request, and for one that no daemon could accept.
        """
        if self._is_sent:
            raise LocalProtocolError("a connection carries one request, and it has been sent")
        line = request.encode()
        # Validate by our own decoder, but without limits: those are the daemon's.
        unlimited = Limits(request_bytes=len(line), arguments=len(request.args))
        decoded = decode_request(line, limits=unlimited)
        if isinstance(decoded, Refused):
            raise LocalProtocolError(decoded.error.message)
        self._is_sent = True
        if request.method == "exec":
            self._replies = ReplyReader(asked=request.features)
        return line

    def send_stdin(self, data: Piece) -> Line:
        """Return the bytes to send a piece of stdin; empty for an empty piece.

        Raises LocalProtocolError for more bytes than `credit`, after the end of stdin, and if
        `stdin` is not in use.
        """
        self._require_stdin()
        count = memoryview(data).nbytes
        if count > self._credit:
            raise LocalProtocolError(f"{count} bytes of stdin, but credit for {self._credit}")
        self._credit -= count
        return _STDIN.encode_bytes(data)

    def send_stdin_eof(self) -> bytes:
        """Return the bytes to end stdin. Raises LocalProtocolError as `send_stdin` does."""
        self._require_stdin()
        self._is_stdin_over = True
        params = StdinParams(eof=True)
        return encode_message(StdinMessage(jsonrpc="2.0", method="stdin", params=params))

    def send_signal(self, name: SignalName) -> bytes:
        """Return the bytes to send a signal.

        Raises LocalProtocolError if `signals` is not in use.
        """
        self._require("signals")
        params = SignalParams(name=name)
        return encode_message(SignalMessage(jsonrpc="2.0", method="signal", params=params))

    def send_resize(self, rows: int, cols: int) -> bytes:
        """Return the bytes to send the terminal's new size, 0 to 65535 each (0: unknown).

        Raises LocalProtocolError if `tty` is not in use.
        """
        self._require("tty")
        params = ResizeParams(rows=rows, cols=cols)
        return encode_message(ResizeMessage(jsonrpc="2.0", method="resize", params=params))

    def receive_data(self, data: bytes | bytearray) -> None:
        """Add bytes from the daemon; empty means that it closed the connection."""
        if not data:
            self._is_closed = True
        elif not self._is_answered and self._fault is None:
            self._reader.receive(data)

    def next_event(self) -> Reply | NeedData:
        """Return the next event: the start, output and credit, then the response.

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
        if isinstance(event, Start):
            self._credit = event.stdin_credit
        elif isinstance(event, Credit):
            self._credit += event.bytes
        elif not isinstance(event, Output | NeedData):
            self._is_answered = True
        return event

    def _read(self) -> Reply | NeedData:
        while (line := self._next_line()) is not None:
            event = self._replies.decode(line)
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

    def _require(self, feature: str) -> None:
        if self._is_answered:
            raise LocalProtocolError("the response has been read, and nothing is sent after it")
        if feature not in self._replies.features:
            raise LocalProtocolError(f"{feature} is not in use")

    def _require_stdin(self) -> None:
        self._require("stdin")
        if self._is_stdin_over:
            raise LocalProtocolError("stdin has ended already")
