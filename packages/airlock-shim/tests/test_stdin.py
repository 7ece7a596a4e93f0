"""stdin on its way to the daemon in messages (the feature stdin)."""

import base64
import os
import subprocess

from fake_daemons import Conversation, FakeDaemon, read_output, wait
from fake_messages import RESULT, output


def _read_data(conversation: Conversation, count: int) -> bytes:
    """The next `count` bytes of stdin, which must not be passed by a message."""
    received = b""
    while len(received) < count:
        message = conversation.read_message()
        assert message["method"] == "stdin"
        assert message["params"]["encoding"] == "base64"
        received += base64.b64decode(message["params"]["data"], validate=True)
    assert len(received) == count
    return received


def test_daemon_that_reads_slowly_holds_up_no_output(daemon: FakeDaemon) -> None:
    """Output arrives while the socket is full of unread data."""
    process, conversation = daemon.begin("stdin", credit=1 << 30, stdin=subprocess.PIPE)
    assert process.stdin is not None
    descriptor = process.stdin.fileno()
    os.set_blocking(descriptor, False)
    sent = 0
    # The shim stops reading when the socket is full, and then the pipe fills.
    for _ in range(200):
        conversation.send(output("x"))
        assert read_output(process, 1) == b"x"
        try:
            while True:
                sent += os.write(descriptor, bytes(65536))
        except BlockingIOError:
            pass
    assert sent < 10_000_000
    conversation.send(RESULT)
    assert wait(process).status == 0


def test_stdin_is_sent_while_stdout_has_no_room(daemon: FakeDaemon) -> None:
    """A slow reader delays only output."""
    process, conversation = daemon.begin("stdin", credit=100, stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    conversation.send(output("x" * 150_000))
    process.stdin.write(b"typed")
    process.stdin.flush()
    assert _read_data(conversation, 5) == b"typed"
    conversation.send(RESULT)
    assert wait(process).stdout == b"x" * 150_000
