"""Output and input that the shim moves between the tool and what the tool may not have itself."""

import contextlib
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from fake_daemons import Ended, FakeDaemon, read_output, wait
from fake_messages import RESULT
from fake_tools import PATIENCE_S


def test_output_to_a_file_is_relayed(daemon: FakeDaemon, folder: Path) -> None:
    """It is all there when the shim has ended, at the place where the file was."""
    path = folder / "file"
    path.write_bytes(b"before\n")
    data = bytes(range(256)) * 10_000
    with path.open("ab") as stdout:
        process, conversation = daemon.begin("fds", stdout=stdout)
    with conversation.run_tool() as tool:
        tool.write(data)
        conversation.send(RESULT)
        # The tool's end is still open, as in a process that was left behind.
        assert process.wait(PATIENCE_S) == 0
    assert path.read_bytes() == b"before\n" + data


def test_order_of_both_streams_in_one_file_is_kept(daemon: FakeDaemon, folder: Path) -> None:
    """stdout and stderr that are the same file go through one pipe."""
    path = folder / "file"
    with path.open("wb") as both:
        process, conversation = daemon.begin("fds", stdout=both, stderr=both)
    with conversation.run_tool() as tool:
        assert os.path.sameopenfile(tool.stdout, tool.stderr)
        for number in range(1000):
            tool.write(b"%d\n" % number, "stdout" if number % 3 else "stderr")
    conversation.send(RESULT)
    assert wait(process).status == 0
    assert path.read_bytes() == b"".join(b"%d\n" % number for number in range(1000))


def test_two_files_are_kept_apart(daemon: FakeDaemon, folder: Path) -> None:
    """Each stream has its own pipe where they are two files."""
    with (folder / "out").open("wb") as stdout, (folder / "err").open("wb") as stderr:
        process, conversation = daemon.begin("fds", stdout=stdout, stderr=stderr)
    with conversation.run_tool() as tool:
        tool.write(b"out")
        tool.write(b"err", "stderr")
    conversation.send(RESULT)
    assert wait(process).status == 0
    assert (folder / "out").read_bytes() == b"out"
    assert (folder / "err").read_bytes() == b"err"


def test_sockets_are_relayed_both_ways(daemon: FakeDaemon) -> None:
    """As for a parent that made its child's streams of socket pairs."""
    with contextlib.ExitStack() as stack:
        ours, theirs = zip(*(socket.socketpair() for _ in range(3)), strict=True)
        for end in (*ours, *theirs):
            stack.enter_context(end)
        files = [stack.enter_context(os.fdopen(os.dup(end.fileno()), "r+b", 0)) for end in theirs]
        process, conversation = daemon.begin(
            "fds", stdin=files[0], stdout=files[1], stderr=files[2]
        )
        tool = stack.enter_context(conversation.run_tool())
        ours[0].sendall(b"question")
        assert tool.read(8) == b"question"
        ours[0].shutdown(socket.SHUT_WR)
        assert tool.read(1) == b""
        tool.write(b"answer")
        assert ours[1].recv(100) == b"answer"
        tool.write(b"trouble", "stderr")
        assert ours[2].recv(100) == b"trouble"
        conversation.send(RESULT)
        assert wait(process).status == 0


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
    """A socket on stdin whose bytes nobody takes does not end the shim."""
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


def test_reader_of_a_relay_that_went_away_ends_it_by_sigpipe(daemon: FakeDaemon) -> None:
    """As the tool would end that writes to a socket that was closed."""
    ours, theirs = socket.socketpair()
    with os.fdopen(os.dup(theirs.fileno()), "wb") as stdout:
        process, conversation = daemon.begin("fds", stdout=stdout)
    theirs.close()
    ours.close()
    with conversation.run_tool() as tool:
        tool.write(b"x")
        assert conversation.read_bytes(1) == b""
    assert wait(process).status == -signal.SIGPIPE


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
