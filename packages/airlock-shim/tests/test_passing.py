"""The standard descriptors on their way to the tool (the feature fds)."""

import os
import select
import socket
import stat
import subprocess
from pathlib import Path

from fake_daemons import Ended, FakeDaemon, wait
from fake_messages import RESULT, output, result
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


def test_the_end_of_gits_ssh_comes_after_what_it_says(daemon: FakeDaemon) -> None:
    """git ends with its ssh's output; a complaint of the remote has to be there before."""
    process, conversation = daemon.begin("fds", command="git-ssh")
    assert process.stdout is not None
    assert process.stderr is not None
    with conversation.run_tool() as tool:
        tool.write(b"all")
    conversation.send(output("no such repository\n", "stderr"))
    assert process.stderr.readline() == b"no such repository\n"
    assert os.read(process.stdout.fileno(), 100) == b"all"
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN)
    assert poll.poll(0) == []
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
    assert "hint: the daemon was stopped or crashed, and ends its commands then" in ended.stderr
    assert path.read_bytes() == b"some"
