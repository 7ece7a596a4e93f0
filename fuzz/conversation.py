"""Target: both ends of a session, talking to each other, with any bytes as input and output.

The first byte chooses the features in use, the second seeds the cutting of both streams. The rest
is a script: each step is a byte that says what is done, a byte that says how much, and so many
bytes. What one side sends is what the other understands, byte for byte: input always, output with
`base64`, and as the text that its bytes are without it.
"""

from collections.abc import Iterator

from airlock_wire import (
    FEATURES,
    NEED_DATA,
    ClientSession,
    Credit,
    HalfClosed,
    Output,
    Request,
    Resize,
    Result,
    ServerSession,
    Signal,
    SignalName,
    Start,
    StdinData,
    StdinEnd,
    Stream,
    Terminal,
)
from fuzz.pieces import cut
from fuzz.target import BrokenPromiseError, Target

_LONGEST = 4096
_CREDIT = 300
_SIGNALS: tuple[SignalName, ...] = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGWINCH")


class _Ends:
    """A client and a daemon. What each sends is noted as the event that the other must see."""

    def __init__(self, features: frozenset[str], seed: int) -> None:
        self.features = features
        self._seed = seed
        self.client, self.server = ClientSession(), ServerSession()
        self.to_server, self.to_client = bytearray(), bytearray()
        self.output: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}
        self.input = b""
        self.controls: list[object] = []
        self._begin()

    def _begin(self) -> None:
        request = Request(
            id="\u00e9",
            method="exec",
            command="cat",
            args=("\udcff", ""),
            features=FEATURES,
            terminal=Terminal(stdin=True, stdout=False, stderr=True, rows=0, cols=65_535),
            env={"A": "\udcfe", "B": ""},
        )
        self.server.receive_data(self.client.send_request(request))
        if self.server.next_event() != request:
            raise BrokenPromiseError("the request is not what was sent")
        credit = _CREDIT if "stdin" in self.features else 0
        self.to_client += self.server.send_start(self.features, stdin_credit=credit)
        start = self.hear_server()[0]
        if not isinstance(start, Start) or set(start.features) != self.features:
            raise BrokenPromiseError(f"the start is {start!a}")

    def hear_server(self) -> list[object]:
        """Give the client what the daemon has sent, in pieces, and return what it understood."""
        heard = _hear(self.client, cut(bytes(self.to_client), self._seed))
        self.to_client.clear()
        return heard

    def hear_client(self, *, is_last: bool = False) -> list[object]:
        """The other way; `is_last` says that the client sends nothing more."""
        pieces = [*cut(bytes(self.to_server), self._seed), *([b""] if is_last else [])]
        self.to_server.clear()
        return _hear(self.server, iter(pieces))


def _hear(session: ClientSession | ServerSession, pieces: Iterator[bytes]) -> list[object]:
    heard: list[object] = []
    for piece in pieces:
        session.receive_data(piece)
        while (event := session.next_event()) is not NEED_DATA:
            heard.append(event)
            # Nothing follows them, and without features HalfClosed comes again and again.
            if isinstance(event, Result | HalfClosed):
                return heard
    return heard


def _check(data: bytes) -> None:
    if len(data) < 2:
        return
    features = frozenset(name for bit, name in enumerate(FEATURES) if data[0] >> bit & 1)
    if "fds" in features:
        features -= {"base64", "stdin", "tty"}
    ends = _Ends(features, data[1])
    said: list[object] = []
    shown: list[object] = []
    is_ended = False
    for what, piece in _read_steps(data[2:]):
        if what in (0, 1) and "fds" not in features:
            stream: Stream = "stdout" if what else "stderr"
            ends.to_client += ends.server.send_output(stream, piece)
            ends.output[stream] += piece
        elif what == 2 and "stdin" in features and not is_ended:
            taken = piece[: ends.client.credit]
            ends.to_server += ends.client.send_stdin(taken)
            ends.input += taken
        elif what == 3 and "stdin" in features and piece:
            ends.to_client += ends.server.send_credit(len(piece))
        elif what == 4 and "signals" in features:
            name = _SIGNALS[len(piece) % len(_SIGNALS)]
            ends.to_server += ends.client.send_signal(name)
            ends.controls.append(Signal(name=name))
        elif what == 5 and "tty" in features:
            rows, cols = len(piece) << 8, sum(piece)
            ends.to_server += ends.client.send_resize(rows, cols)
            ends.controls.append(Resize(rows=rows, cols=cols))
        elif what == 6 and "stdin" in features and not is_ended and len(piece) > 200:
            ends.to_server += ends.client.send_stdin_eof()
            is_ended = True
        else:
            shown += ends.hear_server()
            said += ends.hear_client()
    _compare_input(ends, said + ends.hear_client(is_last=True))
    ends.to_client += ends.server.send_result(130, signal="SIGINT", stdin_bytes=len(ends.input))
    _compare_output(ends, shown + ends.hear_server())


def _read_steps(script: bytes) -> Iterator[tuple[int, bytes]]:
    while len(script) >= 2:
        what, size = script[0] % 8, script[1]
        yield what, script[2 : 2 + size]
        script = script[2 + size :]


def _compare_input(ends: _Ends, said: list[object]) -> None:
    data = b"".join(event.data for event in said if isinstance(event, StdinData))
    controls = [event for event in said if isinstance(event, Signal | Resize)]
    if data != ends.input or controls != ends.controls:
        raise BrokenPromiseError(f"sent {ends.input!a} and {ends.controls!a}, came {said!a}")
    if not ends.features:
        return
    ends_seen = sum(isinstance(event, StdinEnd) for event in said)
    if ends_seen != ("stdin" in ends.features) or not isinstance(said[-1], HalfClosed):
        raise BrokenPromiseError(f"the end is wrong: {said!a}")


def _compare_output(ends: _Ends, shown: list[object]) -> None:
    for stream, written in ends.output.items():
        found = b"".join(
            event.data for event in shown if isinstance(event, Output) and event.stream == stream
        )
        expected = written
        if "base64" not in ends.features:
            expected = written.decode("utf-8", "replace").encode()
        if found != expected:
            raise BrokenPromiseError(f"{stream}: wrote {expected!a}, came {found!a}")
    result = Result(
        exit_code=130,
        signal="SIGINT" if "exit-signal" in ends.features else None,
        stdin_bytes=len(ends.input) if "stdin" in ends.features else None,
    )
    if shown[-1] != result:
        raise BrokenPromiseError(f"the result is {shown[-1]!a}, not {result!a}")
    granted = sum(event.bytes for event in shown if isinstance(event, Credit))
    first = _CREDIT if "stdin" in ends.features else 0
    if ends.client.credit != ends.server.credit or (
        ends.client.credit != first + granted - len(ends.input)
    ):
        raise BrokenPromiseError(f"credit {ends.client.credit} here, {ends.server.credit} there")


def _step(what: int, data: bytes) -> bytes:
    return bytes([what, len(data)]) + data


_SEEDS = (
    _step(1, b"text\n") + _step(7, b"") + _step(0, b"\xff\xfe") + _step(1, "\u00e9\u20ac".encode()),
    _step(2, b"yes\n") + _step(7, b"") + _step(3, b"x" * 50) + _step(2, b"\xff" * 200),
    _step(4, b"x") + _step(5, b"\xff\xff") + _step(6, b"x" * 201) + _step(2, b"late"),
    _step(1, "\u20ac".encode()[:1]) + _step(1, "\u20ac".encode()[1:]) + _step(1, b"\xf0\x9f"),
)

TARGET = Target(
    check=_check,
    seeds=(*(b"\x3f\x01" + seed for seed in _SEEDS), *(b"\x02\x07" + seed for seed in _SEEDS)),
    words=(
        "\u20ac".encode(),
        b"\xff",
        b"\xf0\x9f\x98",
        b"\xed\xa0\x80",
        b"\xc0\x80",
        b"\0",
        b'"\\',
    ),
    longest=_LONGEST,
)
"""A client and a daemon in conversation."""
