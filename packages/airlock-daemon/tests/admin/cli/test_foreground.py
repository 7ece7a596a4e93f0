"""Tests of `airlock_daemon.admin.cli.run`, by real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PARENT = """
import sys
from airlock_daemon.admin.cli.run import end_like, run_in_foreground
status = run_in_foreground("/bin/sh", ["sh", "-c", sys.argv[1]])
print("ended", flush=True)
sys.exit(end_like(status))
"""


def start(script: str, *, session: bool = True) -> subprocess.Popen[str]:
    """Run a shell's script so, in a session and process group of its own."""
    return subprocess.Popen(
        (sys.executable, "-c", PARENT, script),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=session,
    )


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_the_exit_status_is_the_programs() -> None:
    """What comes after it is done before."""
    with start("exit 7") as process:
        assert read_line(process) == "ended"
        assert process.wait() == 7


@pytest.mark.parametrize("name", ["KILL", "TERM", "QUIT"])
def test_it_ends_by_the_signal_that_ended_the_program(name: str) -> None:
    """As a shell sees it: 128 and its number."""
    with start(f"kill -{name} $$") as process:
        assert process.wait() == -signal.Signals[f"SIG{name}"]


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "USR1"])
def test_a_signal_to_it_alone_reaches_the_program(name: str) -> None:
    """Once. It does not end by it itself."""
    script = f"trap 'echo told; exit 3' {name}; echo ready; while :; do sleep 0.1; done"
    with start(script) as process:
        assert read_line(process) == "ready"
        process.send_signal(signal.Signals[f"SIG{name}"])
        assert read_line(process) == "told"
        assert process.wait() == 3


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal."""
    ends = os.openpty()
    yield ends
    for each in ends:
        os.close(each)


def test_a_terminals_interrupt_reaches_the_program_once(
    terminal: tuple[int, int], tmp_path: Path
) -> None:
    """The terminal sends it to the whole process group, and it is not passed on as well."""
    ours, theirs = terminal
    script = "trap 'echo told' INT; echo ready; read line; echo $line; exit 4"
    words = (sys.executable, "-c", PARENT, script)
    process = subprocess.Popen(
        ("setsid", "--ctty", "--wait", *words), stdin=theirs, stdout=theirs, stderr=theirs
    )
    shown = b""
    while b"ready" not in shown:
        shown += os.read(ours, 1024)
    os.write(ours, b"\x03")
    while b"told" not in shown:
        shown += os.read(ours, 1024)
    os.write(ours, b"go\n")
    while b"ended" not in shown:
        shown += os.read(ours, 1024)
    assert process.wait() == 4
    assert shown.count(b"told") == 1


def test_it_stops_and_goes_on_with_the_program() -> None:
    """So that a shell sees a job that was stopped."""
    with start("echo ready; kill -STOP $$; echo on; exit 5") as process:
        assert read_line(process) == "ready"
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        os.killpg(process.pid, signal.SIGCONT)
        assert read_line(process) == "on"
        assert process.wait() == 5
