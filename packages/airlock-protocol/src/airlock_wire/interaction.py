"""The client's messages while its command runs, on the daemon's side.

It exists once a `start` has listed features. Lines are decoded one at a time, in order, so chunking
makes no difference. It counts credit: bytes of stdin granted but not yet received.
"""

from airlock_wire.controls import Stdin, decode_control
from airlock_wire.error_object import ErrorObject
from airlock_wire.events import (
    NEED_DATA,
    HalfClosed,
    NeedData,
    Resize,
    Signal,
    StdinData,
    StdinEnd,
)
from airlock_wire.framing import LineReader, LineTooLong
from airlock_wire.members import Fault

Event = StdinData | StdinEnd | Signal | Resize | HalfClosed


class Interaction:
    """The client's messages after `start`; `line_bytes` limits each."""

    def __init__(self, *, features: frozenset[str], credit: int, line_bytes: int) -> None:
        self.credit = credit
        # `stdin` is removed at its end: later stdin messages are ignored.
        self._features = features
        self._line_bytes = line_bytes
        self._reader = LineReader(line_bytes)
        self._end_follows = False
        self._is_closed = False
        self._has_said_so = False

    def receive(self, data: bytes | bytearray) -> None:
        """Add the next bytes; empty means the end of the stream."""
        if data:
            self._reader.receive(data)
        else:
            self._is_closed = True

    def next_event(self) -> Event | NeedData:
        """Return the client's next message, HalfClosed once after the last one, or NEED_DATA.

        Raises Fault if the client broke the protocol.
        """
        if self._end_follows:
            self._end_follows = False
            return StdinEnd()
        while (line := self._next_line()) is not None:
            control = decode_control(line, features=self._features)
            event = self._take(control) if isinstance(control, Stdin) else control
            if event is not None:
                return event
        return self._end() if self._is_closed and not self._has_said_so else NEED_DATA

    def _take(self, stdin: Stdin) -> StdinData | StdinEnd | None:
        if len(stdin.data) > self.credit:
            raise Fault(
                ErrorObject.invalid_request(
                    f"{len(stdin.data)} bytes of stdin were sent, and {self.credit} granted",
                    hint="wait for credit before you send more",
                )
            )
        self.credit -= len(stdin.data)
        if stdin.is_last:
            self._features = self._features - {"stdin"}
        if stdin.data:
            self._end_follows = stdin.is_last
            return StdinData(data=stdin.data)
        return StdinEnd() if stdin.is_last else None

    def _end(self) -> StdinEnd | HalfClosed:
        if not self._reader.is_empty:
            raise Fault(ErrorObject.parse_error("the message ended before its newline"))
        if "stdin" in self._features:
            self._features = self._features - {"stdin"}
            return StdinEnd()
        self._has_said_so = True
        return HalfClosed()

    def _next_line(self) -> bytes | None:
        try:
            return self._reader.next_line()
        except LineTooLong:
            raise Fault(
                ErrorObject.parse_error(f"the message is longer than {self._line_bytes} bytes")
            ) from None
