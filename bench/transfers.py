"""Reading a command's output as fast as possible."""

import hashlib
import os
import select
import time
from collections.abc import Callable
from typing import Any

import msgspec
from e2e.world.process_status import peak_memory

from bench.calls import Call, end, spawn, wait
from bench.errors import CallFailed

_BUFFER = 1 << 20

_LOOKS = 32
"""How often the process's memory is sampled per transfer."""

_Look = Callable[[int, memoryview], None]
"""Called with the pid and each piece received."""


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer's seconds until the command was reaped, bytes, and peak memory of its process."""

    seconds: float
    size: int
    peak: int


def receive(call: Call, *, expected: int, patience_s: float) -> Transfer:
    """Run a call and read its stdout, a pipe of the default size, to the end.

    `expected` is the approximate number of bytes, to spread the memory samples evenly. Raises
    CallFailed for a status other than 0.
    """
    size = peak = looked = 0

    def look(pid: int, piece: memoryview) -> None:
        nonlocal size, peak, looked
        size += len(piece)
        if size - looked >= expected // _LOOKS:
            looked = size
            peak = max(peak, peak_memory(pid))

    seconds = _run(call, look, patience_s=patience_s)
    return Transfer(seconds=seconds, size=size, peak=peak)


def digest(call: Call, *, patience_s: float) -> str:
    """Run a call and return the SHA-256 of its stdout, in hexadecimal."""
    seen: Any = hashlib.sha256()
    _run(call, lambda _, piece: seen.update(piece), patience_s=patience_s)
    return str(seen.hexdigest())


def _run(call: Call, look: _Look, *, patience_s: float) -> float:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        started = time.perf_counter()
        try:
            pid = spawn(call, stdin=null, stdout=writing, stderr=null)
        finally:
            os.close(writing)
        try:
            _read_all(reading, pid, look, patience_s=patience_s)
        except BaseException:
            end(pid)
            raise
        status = wait(pid, call, patience_s=patience_s)
        seconds = time.perf_counter() - started
    finally:
        os.close(reading)
        os.close(null)
    if status:
        raise CallFailed(f"{call.argv[0]} by {call.program} ended with status {status}")
    return seconds


def _read_all(reading: int, pid: int, look: _Look, *, patience_s: float) -> None:
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    buffer = bytearray(_BUFFER)
    view = memoryview(buffer)
    while True:
        if not poll.poll(patience_s * 1000):
            raise CallFailed(f"it hangs: neither output nor its end came for {patience_s:g} s")
        count = os.readv(reading, [buffer])
        if not count:
            return
        look(pid, view[:count])
