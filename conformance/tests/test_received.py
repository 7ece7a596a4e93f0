"""What is required of a daemon's messages in every case."""

import pytest

from airlock_conformance.received import Received, Stream
from airlock_conformance.violation import Violation

OUTPUT = b'{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout","data":"a"}}\n'
RESULT = b'{"jsonrpc":"2.0","id":1,"result":{"exit_code":0}}\n'


def test_output_is_put_together_in_any_pieces() -> None:
    """Output of a stream is joined, however the bytes were cut."""
    received = Received()
    for byte in OUTPUT + OUTPUT + RESULT:
        received.feed(bytes([byte]))
    received.finish()
    expected: dict[Stream, bytes] = {"stdout": b"aa", "stderr": b""}
    assert {name: bytes(data) for name, data in received.output.items()} == expected
    assert received.response == {"jsonrpc": "2.0", "id": 1, "result": {"exit_code": 0}}


@pytest.mark.parametrize(
    "data",
    [
        b"hello\n",
        b"\xff\n",
        b"[]\n",
        b"\n",
        RESULT + OUTPUT,
        RESULT + RESULT,
        b'{"jsonrpc":"2.0","method":"start","params":{"features":[]}}\n',
        b'{"jsonrpc":"2.0","id":1}\n',
        b'{"id":1,"result":{"exit_code":0}}\n',
        b'{"jsonrpc":"2.0","id":1,"result":{"exit_code":-9}}\n',
        b'{"jsonrpc":"2.0","id":1,"result":{"decision":"denied"}}\n',
        b'{"jsonrpc":"2.0","method":"output","params":{"stream":"log","data":"a"}}\n',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"no"}}\n',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no","data":{"kind":"denied"}}}\n',
    ],
)
def test_what_is_no_message_is_a_violation(data: bytes) -> None:
    """A line that the protocol does not have, or not there, fails whatever the case expects."""
    with pytest.raises(Violation):
        Received().feed(data)


def test_a_cut_message_is_a_violation() -> None:
    """A connection that closes inside a message fails."""
    received = Received()
    received.feed(RESULT[:-1])
    with pytest.raises(Violation, match="inside a message"):
        received.finish()
