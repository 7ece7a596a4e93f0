"""Terminals: how they are described, and what becomes of the client's own (the feature tty)."""

import signal

from fake_daemons import FakeDaemon, wait
from fake_messages import output, result, start_message
from fake_terminals import Terminal
from fake_tools import PATIENCE_S

_BECOME_LEADER = (
    "import fcntl, os, sys, termios; os.setsid(); "
    "fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0); os.execv(sys.argv[2], sys.argv[2:])"
)


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
