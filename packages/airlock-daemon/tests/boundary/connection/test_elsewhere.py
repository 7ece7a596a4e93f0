"""Descriptors, boxes and directories of clients where Linux's names are missing, as on macOS."""

import subprocess
import sys

from linux_names import remove_linux_names

RECEIVE = """
import os, socket
from airlock_daemon.boundary.connection.descriptors import receive
ours, theirs = socket.socketpair()
null = os.open(os.devnull, os.O_RDONLY)
socket.send_fds(theirs, [b"xyz"], [null] * 3)
before = len(os.listdir("/dev/fd"))
print(receive(ours, 1), receive(ours, 9), len(os.listdir("/dev/fd")) - before)
"""

REFUSE = """
from airlock_daemon.boundary.command.posix_launcher import refuse_box
for sys.platform in ("darwin", "freebsd15"):
    error = refuse_box()
    print(error.layer, error.rule, error.message.split()[-1])
"""


def run_elsewhere(code: str) -> str:
    """Run a program there; trio, which it may need, has to be imported before."""
    words = [sys.executable, "-c", f"import trio\n{remove_linux_names()}{code}"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def test_descriptors_of_a_client_are_not_taken() -> None:
    """The kernel drops them, and the request's bytes are read as ever."""
    assert run_elsewhere(RECEIVE) == "(b'x', []) (b'yz', []) 0\n"


def test_a_box_is_refused_by_name() -> None:
    """So that a person can look it up; the message has the system's name."""
    assert run_elsewhere(REFUSE) == "sandbox no-box macOS\nsandbox no-box freebsd15\n"


def test_sessions_streams_and_commands_need_no_name_of_linux() -> None:
    """They can be imported, and wait with poll(2)."""
    modules = (
        "boundary.brokers.git.conversation",
        "boundary.command.posix_launcher",
        "boundary.command.process",
        "serving.session",
    )
    imports = "\n".join(f"import airlock_daemon.{name}" for name in modules)
    code = (
        f"{imports}\nfrom airlock_daemon.platform.system import Readiness\n"
        "with Readiness() as ready:\n    print(type(ready).__name__)\n"
    )
    assert run_elsewhere(code) == "PollSet\n"
