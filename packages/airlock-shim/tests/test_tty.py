"""Terminals: how they are described, and what becomes of the client's own (the feature tty)."""

import base64
import signal
import subprocess
from typing import Any

import pytest

from fake_daemons import Conversation, FakeDaemon, wait
from fake_messages import RESULT, output, result, start_message
from fake_terminals import Terminal
from fake_tools import PATIENCE_S

_BECOME_LEADER = (
    "import fcntl, os, sys, termios; os.setsid(); "
    "fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0); os.execv(sys.argv[2], sys.argv[2:])"
)


def _begin(
    daemon: FakeDaemon, terminal: Terminal, *features: str, **start: Any
) -> tuple[subprocess.Popen[bytes], Conversation]:
    """A shim on the terminal, which is raw by now if stdin and tty are among the features."""
    streams = terminal.streams() | start
    process, conversation = daemon.begin(*features, credit=100, **streams)
    # The daemon's message was read once what follows it is answered by output.
    conversation.send(output("@"))
    assert terminal.read_screen(1) == b"@"
    return process, conversation


@pytest.mark.parametrize("feature", [("tty",), ("stdin",), ("tty", "signals"), ()])
def test_terminal_is_left_alone_unless_keys_are_sent_to_one(
    daemon: FakeDaemon, terminal: Terminal, feature: tuple[str, ...]
) -> None:
    """Raw mode is for a stdin that is a terminal at the other end too."""
    process, conversation = _begin(daemon, terminal, *feature)
    assert terminal.is_as_before
    conversation.send(RESULT)
    assert process.wait(PATIENCE_S) == 0


def test_lines_of_a_terminal_are_sent_without_tty(daemon: FakeDaemon, terminal: Terminal) -> None:
    """What is typed goes line by line, and Ctrl-D is the end."""
    process, conversation = _begin(daemon, terminal, "stdin")
    terminal.type(b"yex\x7fs\r")
    message = conversation.read_message()
    assert base64.b64decode(message["params"]["data"]) == b"yes\n"
    terminal.type(b"\x04")
    assert conversation.read_message()["params"] == {"eof": True}
    conversation.send(RESULT)
    assert process.wait(PATIENCE_S) == 0


def test_interrupt_key_reaches_the_tool(daemon: FakeDaemon, terminal: Terminal) -> None:
    """Ctrl-C on the shim's own controlling terminal becomes a signal for the command."""
    wrapper = ["python3", "-c", _BECOME_LEADER, "0"]
    process, conversation = daemon.begin("fds", "signals", wrapper=wrapper, **terminal.streams())
    terminal.type(b"\x03")
    assert conversation.read_message()["params"] == {"name": "SIGINT"}
    conversation.send(result(130, signal="SIGINT"))
    assert process.wait(PATIENCE_S) == -signal.SIGINT


def test_terminal_that_is_stopped_does_not_keep_signals_away(
    daemon: FakeDaemon, terminal: Terminal
) -> None:
    """Output that finds no room on the screen waits, and nothing else does."""
    process, conversation = daemon.begin("signals", **terminal.streams())
    conversation.send(output("x" * 150_000))
    process.send_signal(signal.SIGTERM)
    assert conversation.read_message()["params"] == {"name": "SIGTERM"}
    conversation.send(result(143, signal="SIGTERM"))
    assert terminal.read_screen(150_000) == b"x" * 150_000
    assert process.wait(PATIENCE_S) == -signal.SIGTERM


def test_terminal_is_not_read_in_the_background(daemon: FakeDaemon, terminal: Terminal) -> None:
    """A shim in the background of a shell is not stopped by what is typed for the shell."""
    script = 'set -m; "$@" & wait $!; echo "status $?"'
    # An interactive shell's jobs have process groups of their own.
    wrapper = ["python3", "-c", _BECOME_LEADER, "0", "/bin/sh", "-c", script, "sh"]
    process = daemon.start(wrapper=wrapper, **terminal.streams())
    conversation = daemon.accept()
    conversation.read_request()
    conversation.send(start_message("tty", "stdin", "signals", credit=10) + output("@"))
    assert terminal.read_screen(1) == b"@"
    assert terminal.is_as_before
    terminal.type(b"for the shell\r")
    assert terminal.read_screen(15) == b"for the shell\r\n"
    conversation.send(output("-") + result(4))
    assert terminal.read_screen(11) == b"-status 4\r\n"
    assert process.wait(PATIENCE_S) == 0
    assert wait(process).status == 0
