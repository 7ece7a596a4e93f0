"""The standard descriptors on their way to the tool (the feature fds)."""

import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from fake_daemons import Ended, FakeDaemon, wait
from fake_messages import RESULT, output, result, start_message
from fake_tools import PATIENCE_S


def test_pipes_and_null_ride_as_they_are(daemon: FakeDaemon) -> None:
    """The tool gets the very descriptors that the shim was started with."""
    process, conversation = daemon.begin("fds", stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stderr is not None
    with conversation.run_tool() as tool:
        assert os.fstat(tool.stdin).st_rdev == os.stat("/dev/null").st_rdev
        assert os.path.sameopenfile(tool.stdout, process.stdout.fileno())
        assert os.path.sameopenfile(tool.stderr, process.stderr.fileno())
        tool.write(b"out")
        tool.write(b"err", "stderr")
    conversation.send(result(7))
    assert wait(process) == Ended(7, b"out", "err")


def test_files_and_sockets_do_not_ride(daemon: FakeDaemon, folder: Path) -> None:
    """The tool gets pipes without a name instead of what it could open again."""
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    keeper = os.open(fifo, os.O_RDWR)
    ours, theirs = socket.socketpair()
    stdouts = [
        os.open(folder / "file", os.O_WRONLY | os.O_CREAT),
        os.open(fifo, os.O_WRONLY),
        os.open("/dev/zero", os.O_WRONLY),
        theirs.detach(),
    ]
    for stdout in stdouts:
        process, conversation = daemon.begin("fds", stdout=stdout)
        with conversation.run_tool() as tool:
            assert stat.S_ISFIFO(os.fstat(tool.stdout).st_mode)
            assert os.readlink(f"/proc/self/fd/{tool.stdout}").startswith("pipe:")
        conversation.send(RESULT)
        assert wait(process).status == 0
    ours.close()
    for descriptor in (keeper, *stdouts):
        os.close(descriptor)


def test_file_on_stdin_is_left_where_the_tool_stopped(daemon: FakeDaemon, folder: Path) -> None:
    """Whoever reads on after the command finds what it did not take."""
    path = folder / "file"
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(100_000)))
    with path.open("rb", buffering=0) as stdin:
        for taken in (7, 0, 200_000, 14):
            before = stdin.tell()
            process, conversation = daemon.begin("fds", stdin=stdin)
            with conversation.run_tool() as tool:
                assert len(tool.read(taken)) == taken
            conversation.send(RESULT)
            assert wait(process).status == 0
            assert stdin.tell() == before + taken


def test_file_on_stdin_ends_for_the_tool(daemon: FakeDaemon, folder: Path) -> None:
    """The tool reads the whole file and then its end."""
    path = folder / "file"
    path.write_bytes(b"x" * 300_000)
    with path.open("rb", buffering=0) as stdin:
        process, conversation = daemon.begin("fds", stdin=stdin)
        with conversation.run_tool() as tool:
            assert tool.read(400_000) == b"x" * 300_000
        conversation.send(RESULT)
        assert wait(process).status == 0
        assert stdin.tell() == 300_000


def test_directory_as_stdin_is_empty(daemon: FakeDaemon) -> None:
    """What cannot be read is at its end, and the tool never gets the directory."""
    directory = os.open("/", os.O_RDONLY)
    process, conversation = daemon.begin("fds", stdin=directory)
    os.close(directory)
    with conversation.run_tool() as tool:
        assert tool.read(1) == b""
    conversation.send(RESULT)
    assert wait(process).status == 0


def test_tool_that_closes_its_output_is_seen_to(daemon: FakeDaemon) -> None:
    """The shim does not keep a pipe open that the tool has let go of."""
    process, conversation = daemon.begin("fds")
    assert process.stdout is not None
    with conversation.run_tool() as tool:
        tool.write(b"all")
        tool.close(tool.stdout)
        assert process.stdout.read() == b"all"
        conversation.send(RESULT)
    assert wait(process).status == 0


def test_lost_connection_is_told_after_what_was_written(daemon: FakeDaemon, folder: Path) -> None:
    """A daemon that goes away in the middle leaves what the tool wrote."""
    path = folder / "file"
    with path.open("wb") as stdout:
        process, conversation = daemon.begin("fds", stdout=stdout)
    with conversation.run_tool() as tool:
        tool.write(b"some")
        conversation.close()
        assert process.wait(PATIENCE_S) == 125
    ended = wait(process)
    assert "was lost before the command ended" in ended.stderr
    assert path.read_bytes() == b"some"


@pytest.mark.parametrize("start", [b"", start_message(), start_message("base64")])
def test_daemon_that_does_not_take_them_streams(
    daemon: FakeDaemon, folder: Path, start: bytes
) -> None:
    """Files are written by the shim itself then, in the same order."""
    path = folder / "file"
    with path.open("wb") as both:
        process = daemon.start(stdout=both, stderr=both)
    conversation = daemon.accept()
    conversation.read_request()
    conversation.send(start + output("1") + output("2", "stderr") + output("3") + RESULT)
    assert wait(process).status == 0
    assert path.read_bytes() == b"123"


def test_exactly_three_ride_on_the_first_byte(daemon: FakeDaemon) -> None:
    """Also with a request that is larger than any buffer."""
    arguments = ["x" * 100_000] * 5
    process = daemon.start(*arguments)
    conversation = daemon.accept()
    request = conversation.read_request(keep_descriptors=True)
    assert len(request) > 500_000
    assert len(conversation.descriptors) == 3
    conversation.send(start_message("fds"))
    with conversation.run_tool() as tool:
        tool.write(b"out")
    conversation.send(RESULT)
    assert wait(process).stdout == b"out"
