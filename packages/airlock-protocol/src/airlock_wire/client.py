"""The client's side of one connection, as a state machine without I/O.

The rules that it keeps: one request, sent first; then any number of output notifications, then
one response, after which the session is over. The id of the response is not compared: there is
one response a connection, and released daemons answer with 0 where they could not read an id.
"""

from airlock_wire.decoding import Refused, decode_request
from airlock_wire.error_object import ErrorObject
from airlock_wire.errors import LocalProtocolError, RemoteProtocolError
from airlock_wire.events import NEED_DATA, NeedData, Output
from airlock_wire.framing import LineReader, LineTooLong
from airlock_wire.limits import Limits
from airlock_wire.replies import Reply, decode_reply
from airlock_wire.request import Request


class ClientSession:
    """One connection, seen from the client.

    `message_bytes` bounds one message of the daemon, without its newline; released daemons may send
    all output in one message. See the module for the rules.
    """

    def __init__(self, *, message_bytes: int = 67_108_864) -> None:
        self._message_bytes = message_bytes
        self._reader = LineReader(message_bytes)
        self._fault: ErrorObject | None = None
        self._is_sent = False
        self._is_closed = False
        self._is_answered = False

    def send_request(self, request: Request) -> bytes:
        """The bytes of the one request.

        Raises LocalProtocolError for a second one, and for one that no daemon could take.
        """
        if self._is_sent:
            raise LocalProtocolError("a connection carries one request, and it has been sent")
        line = request.encode()
        # Our own reader is the judge of what can be sent; how much is for the daemon to say.
        unlimited = Limits(request_bytes=len(line), arguments=len(request.args))
        decoded = decode_request(line, limits=unlimited)
        if isinstance(decoded, Refused):
            raise LocalProtocolError(decoded.error.message)
        self._is_sent = True
        return line

    def receive_data(self, data: bytes) -> None:
        """Take bytes that the daemon sent; empty means that it closed the connection."""
        if not data:
            self._is_closed = True
        elif not self._is_answered and self._fault is None:
            self._reader.receive(data)

    def next_event(self) -> Reply | NeedData:
        """What the bytes so far mean: output, then the response.

        Raises RemoteProtocolError, each time anew, where the daemon broke the protocol or closed
        before its response; LocalProtocolError where the response has been returned already.
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
        self._is_answered = event is not NEED_DATA and not isinstance(event, Output)
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
