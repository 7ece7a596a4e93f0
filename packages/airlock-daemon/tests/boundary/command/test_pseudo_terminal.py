"""The size of a terminal, where whoever reads it has it locked."""

import fcntl
import os
import struct
import termios
import threading

import pytest

from airlock_daemon.boundary.command import stdio
from airlock_daemon.boundary.command.stdio import PseudoTerminal
from airlock_wire import Terminal


def test_a_size_that_waits_holds_up_nobody_and_the_last_one_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A tool may read it into memory that is slow to come, and the kernel has others wait."""
    terminal = PseudoTerminal(
        Terminal(stdin=True, stdout=True, stderr=True, rows=5, cols=5, term="vt100"),
        has_input=True,
    )
    may_go_on = threading.Event()
    asked = []

    def wait(descriptor: int, request: int, what: bytes) -> object:
        asked.append(what)
        may_go_on.wait()
        return fcntl.ioctl(descriptor, request, what)

    monkeypatch.setattr(stdio, "ioctl", wait)
    for rows in (10, 20, 30):
        terminal.resize(rows, 40)
    may_go_on.set()
    slave = terminal.standard[0]
    while _read_size(slave) != (30, 40):
        os.sched_yield()
    assert len(asked) <= 2
    terminal.close()


def _read_size(descriptor: int) -> tuple[int, int]:
    told = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, b"x" * 8)
    rows, columns, _, _ = struct.unpack("HHHH", told)
    return rows, columns
