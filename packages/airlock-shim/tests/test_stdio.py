"""Standard descriptors that are closed, full or otherwise not what one expects."""

import os
import signal
import subprocess
import threading

import pytest

from fake_daemons import FakeDaemon, wait
from fake_messages import RESULT, error, output
from fake_tools import PATIENCE_S


def test_stderr_without_a_reader_keeps_the_exit_status(daemon: FakeDaemon) -> None:
    """The shim's own message on a broken pipe does not end it by SIGPIPE."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as stderr:
        ended = daemon.answer(error(-32600, "no"), stderr=stderr)
    assert ended.status == 126


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="/dev/full is not for this user")
def test_full_disk_is_told(daemon: FakeDaemon) -> None:
    """Output that cannot be written is an error and not lost silently."""
    with open("/dev/full", "wb") as full:
        ended = daemon.answer(output("x"), RESULT, stdout=full)
    assert ended.status == 125
    assert ended.stderr == (
        "airlock: cannot write the command's output to stdout: no space left on the device\n"
    )


def test_nonblocking_stdout_is_waited_for(daemon: FakeDaemon) -> None:
    """A pipe that was set non-blocking loses nothing when it is full."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with os.fdopen(write_end, "wb") as stdout:
        process = daemon.start(stdout=stdout)
    conversation = daemon.accept()
    conversation.read_request()
    data = "0123456789abcdef" * 100_000
    sender = threading.Thread(target=conversation.send, args=(output(data) + RESULT,))
    sender.start()
    with os.fdopen(read_end, "rb") as stdin:
        assert stdin.read() == data.encode()
    sender.join()
    assert wait(process).status == 0


def test_usage_on_a_closed_pipe_ends_by_sigpipe(daemon: FakeDaemon) -> None:
    """Its own text is treated no differently."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as stdout:
        process = subprocess.Popen([daemon.link("airlock-shim")], stdout=stdout)
    assert process.wait(PATIENCE_S) == -signal.SIGPIPE
