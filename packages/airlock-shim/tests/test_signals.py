"""Signals on their way to the command (the feature signals)."""

import os
import signal
import time
from pathlib import Path

from fake_daemons import FakeDaemon, read_output, wait
from fake_messages import RESULT, output, result
from fake_tools import PATIENCE_S

_FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH"]
_HELD = sum(1 << (signal.Signals[name] - 1) for name in _FORWARDED)


def test_shim_that_ends_as_the_command_did_leaves_no_core_file(daemon: FakeDaemon) -> None:
    """Neither where the signal means one."""
    process, conversation = daemon.begin("signals", "exit-signal", cwd=daemon.folder)
    process.send_signal(signal.SIGQUIT)
    conversation.read_message()
    conversation.send(result(128 + signal.SIGQUIT, signal="SIGQUIT"))
    assert wait(process).status == -signal.SIGQUIT
    assert not list(daemon.folder.glob("core*"))


def test_two_interrupts_end_a_shim_that_waits_for_start(daemon: FakeDaemon) -> None:
    """Nothing is kept for ever."""
    process = daemon.start()
    conversation = daemon.accept()
    conversation.read_request()
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    assert conversation.read_bytes(1) == b""
    assert wait(process).status == -signal.SIGINT


def test_interrupt_reaches_the_command_while_stdout_has_no_room(daemon: FakeDaemon) -> None:
    """A pager that is not read does not keep Ctrl-C from the tool."""
    process, conversation = daemon.begin("signals")
    conversation.send(output("x" * 150_000))
    process.send_signal(signal.SIGINT)
    assert conversation.read_message()["params"] == {"name": "SIGINT"}
    conversation.send(RESULT)
    assert wait(process).stdout == b"x" * 150_000


def test_interrupt_ends_the_shim_when_the_daemon_is_gone(daemon: FakeDaemon) -> None:
    """Where stdout has no room and nobody is there to pass a signal to, it has its effect."""
    process, conversation = daemon.begin("signals")
    conversation.send(output("x" * 150_000))
    read_output(process, 1)
    conversation.close()
    status = Path(f"/proc/{process.pid}/status")
    deadline = time.monotonic() + PATIENCE_S
    while _blocked(status) & _HELD:
        assert time.monotonic() < deadline, "the shim has not noticed that the daemon is gone"
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == -signal.SIGINT


def test_what_was_written_is_passed_on_when_the_daemon_is_gone(daemon: FakeDaemon) -> None:
    """A slow reader gets all output, and the status is the command's."""
    process, conversation = daemon.begin("signals")
    conversation.send(output("x" * 150_000) + result(5))
    conversation.close()
    ended = wait(process)
    assert (ended.status, ended.stdout) == (5, b"x" * 150_000)


def test_first_process_of_a_container_forwards_and_ends(
    daemon: FakeDaemon, unshare: list[str]
) -> None:
    """As process 1 it cannot die of a signal, and has the status that a shell would report."""
    process, conversation = daemon.begin(
        "signals", wrapper=[*unshare, "--pid", "--fork", "--kill-child"]
    )
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGTERM)
    assert conversation.read_message()["params"] == {"name": "SIGTERM"}
    conversation.send(result(143, signal="SIGTERM"))
    assert wait(process).status == 143


def _blocked(status: Path) -> int:
    line = next(line for line in status.read_text().splitlines() if line.startswith("SigBlk"))
    return int(line.split()[1], 16)
