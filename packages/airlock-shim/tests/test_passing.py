"""The standard descriptors on their way to the tool (the feature fds)."""

import os
import select
from pathlib import Path

from fake_daemons import FakeDaemon, wait
from fake_messages import RESULT, output
from fake_tools import PATIENCE_S


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
