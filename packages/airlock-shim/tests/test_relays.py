"""Output and input that the shim moves between the tool and what the tool may not have itself."""

import os
import socket
import threading

import pytest

from fake_daemons import Ended, FakeDaemon, read_output, wait
from fake_messages import RESULT


def test_slow_socket_gets_everything(daemon: FakeDaemon) -> None:
    """What the reader has no room for waits; the shim ends when all of it is delivered."""
    ours, theirs = socket.socketpair()
    data = bytes(range(256)) * 8000
    received = b""
    with ours, theirs:
        with os.fdopen(os.dup(theirs.fileno()), "wb") as stdout:
            process, conversation = daemon.begin("fds", stdout=stdout)
        theirs.close()

        def work() -> None:
            with conversation.run_tool() as tool:
                tool.write(data)
            conversation.send(RESULT)

        worker = threading.Thread(target=work)
        worker.start()
        while piece := ours.recv(5000):
            received += piece
        worker.join()
    assert wait(process).status == 0
    assert received == data


def test_tool_that_closes_a_relayed_stdin_loses_nothing(daemon: FakeDaemon) -> None:
    """A socket on stdin whose bytes are not read does not end the shim."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with os.fdopen(os.dup(theirs.fileno()), "rb") as stdin:
            process, conversation = daemon.begin("fds", stdin=stdin)
        with conversation.run_tool() as tool:
            tool.close(tool.stdin)
            ours.sendall(b"x")
            tool.write(b"done")
            assert read_output(process, 4) == b"done"
        conversation.send(RESULT)
        assert wait(process).status == 0


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="/dev/full is not for this user")
def test_full_disk_behind_a_relay_is_told(daemon: FakeDaemon) -> None:
    """Output that cannot be written is an error and not lost silently."""
    with open("/dev/full", "wb") as full:
        process, conversation = daemon.begin("fds", stdout=full)
    with conversation.run_tool() as tool:
        tool.write(b"x")
        assert conversation.read_bytes(1) == b""
    assert wait(process) == Ended(
        125,
        b"",
        "airlock: cannot write the command's output to stdout: no space left on the device\n",
    )
