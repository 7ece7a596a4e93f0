"""How the shim ends."""

import os
import signal
from pathlib import Path

from fake_daemons import FakeDaemon, wait
from fake_messages import error


def test_messages_cannot_drive_the_terminal(daemon: FakeDaemon) -> None:
    """Control, bidirectional and zero-width characters are escaped; lines keep the prefix."""
    ended = daemon.answer(error(-32600, "a\x1b[2J\r\x9b\u202eb\u200b\nsecond", hint="\x07é"))
    assert ended.stderr == (
        "airlock: a\\x1b[2J\\x0d\\u{9b}\\u{202e}b\\u{200b}\n"
        "airlock: second\n"
        "airlock: hint: \\x07é\n"
    )


def test_long_message_is_cut(daemon: FakeDaemon) -> None:
    """A message has a bound, and what fits of it is shown."""
    ended = daemon.answer(error(-32600, "m" * 1_000_000, hint="h" * 1_000_000))
    assert ended.status == 126
    assert ended.stderr.startswith("airlock: mmmm")
    assert len(ended.stderr) < 30_000


def test_signal_ends_the_first_process_of_a_container(
    daemon: FakeDaemon, unshare: list[str]
) -> None:
    """As process 1, which the kernel spares signals without a handler, it still ends."""
    process = daemon.start(wrapper=[*unshare, "--pid", "--fork", "--kill-child"])
    conversation = daemon.accept()
    conversation.read_request()
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGTERM)
    assert conversation.read_bytes(1) == b""
    assert wait(process).status == 128 + signal.SIGTERM
