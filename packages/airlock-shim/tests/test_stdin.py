"""stdin on its way to the daemon in messages (the feature stdin)."""

import base64
import os
import socket
import subprocess
from pathlib import Path

from fake_daemons import Conversation, FakeDaemon, read_output, wait
from fake_messages import RESULT, encode, output, result


def _credit(count: int) -> bytes:
    return encode({"jsonrpc": "2.0", "method": "credit", "params": {"bytes": count}})


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


def _read_end(conversation: Conversation) -> None:
    assert conversation.read_message() == {
        "jsonrpc": "2.0",
        "method": "stdin",
        "params": {"eof": True},
    }


def test_pipe_is_sent_as_it_comes_and_then_its_end(daemon: FakeDaemon) -> None:
    """Bytes that are not UTF-8 arrive too, before anything follows them."""
    process, conversation = daemon.begin("stdin", credit=100, stdin=subprocess.PIPE)
    assert process.stdin is not None
    for piece in (b"yes\n", b"\xff\x00"):
        process.stdin.write(piece)
        process.stdin.flush()
        assert _read_data(conversation, len(piece)) == piece
    process.stdin.close()
    _read_end(conversation)
    conversation.send(RESULT)
    process.stdin = None
    assert wait(process).status == 0


def test_never_more_is_sent_than_there_is_credit_for(daemon: FakeDaemon) -> None:
    """What is not covered stays in the pipe, for whoever reads it next."""
    data = bytes(range(256)) * 4
    read_end, write_end = os.pipe()
    os.write(write_end, data)
    with os.fdopen(read_end, "rb", 0) as stdin, os.fdopen(write_end, "wb"):
        process, conversation = daemon.begin("stdin", credit=10, stdin=stdin)
        assert _read_data(conversation, 10) == data[:10]
        conversation.send(_credit(20))
        assert _read_data(conversation, 20) == data[10:30]
        # Output goes on meanwhile.
        conversation.send(output("still here"))
        assert read_output(process, 10) == b"still here"
        conversation.send(RESULT)
        assert wait(process).status == 0
        assert conversation.read_bytes(1) == b""
        assert stdin.read(2000) == data[30:]


def test_large_stdin_arrives_whole(daemon: FakeDaemon, folder: Path) -> None:
    """Credit is granted as the tool reads."""
    path = folder / "file"
    data = bytes(range(256)) * 10_000
    path.write_bytes(data)
    with path.open("rb", 0) as stdin:
        process, conversation = daemon.begin("stdin", credit=1, stdin=stdin)
    received = b""
    while len(received) < len(data):
        message = conversation.read_message()
        piece = base64.b64decode(message["params"]["data"])
        received += piece
        conversation.send(_credit(len(piece) + 30_000))
    assert received == data
    _read_end(conversation)
    conversation.send(RESULT)
    assert wait(process).status == 0


def test_file_is_left_where_the_tool_stopped(daemon: FakeDaemon, folder: Path) -> None:
    """The daemon tells how much the tool took, and whoever reads on finds the rest."""
    path = folder / "file"
    path.write_bytes(b"one\ntwo\nthree\n")
    with path.open("rb", 0) as stdin:
        for taken, rest in ((4, b"two\nthree\n"), (0, b"two\nthree\n"), (10, b"")):
            process, conversation = daemon.begin("stdin", credit=100, stdin=stdin)
            while "eof" not in conversation.read_message()["params"]:
                pass
            conversation.send(result(0, stdin_bytes=taken))
            assert wait(process).status == 0
            position = stdin.tell()
            assert stdin.read() == rest
            stdin.seek(position)


def test_devnull_and_closed_stdin_are_at_their_end(daemon: FakeDaemon) -> None:
    """The daemon hears of it at once."""
    for wrapper in ((), ("sh", "-c", 'exec "$@" <&-', "sh")):
        process, conversation = daemon.begin("stdin", credit=5, wrapper=wrapper)
        _read_end(conversation)
        conversation.send(RESULT)
        assert wait(process).status == 0


def test_socket_is_read_without_waiting(daemon: FakeDaemon) -> None:
    """A socket on stdin is sent like a pipe."""
    ours, theirs = socket.socketpair()
    with ours, theirs, os.fdopen(os.dup(theirs.fileno()), "rb") as stdin:
        process, conversation = daemon.begin("stdin", credit=100, stdin=stdin)
        ours.sendall(b"abc")
        assert _read_data(conversation, 3) == b"abc"
        ours.shutdown(socket.SHUT_WR)
        _read_end(conversation)
        conversation.send(RESULT)
        assert wait(process).status == 0


def test_daemon_that_reads_slowly_holds_up_no_output(daemon: FakeDaemon) -> None:
    """Output arrives while the socket is full of what nobody reads."""
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
    """A reader that takes its time holds up output alone."""
    process, conversation = daemon.begin("stdin", credit=100, stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    conversation.send(output("x" * 150_000))
    process.stdin.write(b"typed")
    process.stdin.flush()
    assert _read_data(conversation, 5) == b"typed"
    conversation.send(RESULT)
    assert wait(process).stdout == b"x" * 150_000
