"""The command's output on its way through the shim."""

import hashlib
import os
import threading
from pathlib import Path

from fake_daemons import Ended, FakeDaemon
from fake_messages import RESULT, encode, output
from fake_tools import PATIENCE_S

_MEMORY_LIMIT_KIB = 2048


def test_one_huge_line_takes_no_memory(daemon: FakeDaemon) -> None:
    """A notification of 100 MB passes through a constant buffer."""
    piece = ("x" * 78 + "é\n") * 1250
    count = 1000
    process = daemon.start()
    conversation = daemon.accept()
    conversation.read_request()
    digest, length = hashlib.sha256(), 0
    assert process.stdout is not None
    stdout = process.stdout.fileno()

    def receive() -> None:
        nonlocal length
        while data := os.read(stdout, 1 << 20):
            digest.update(data)
            length += len(data)

    receiver = threading.Thread(target=receive)
    receiver.start()
    whole = output(piece)
    head, _, tail = whole.partition(b"x" * 78)
    body = whole[len(head) : -len(b'"}}\n')]
    conversation.send(head)
    for _ in range(count):
        conversation.send(body)
    conversation.send_and_wait(tail[-len(b'"}}\n') :])
    assert _peak_memory_kib(process.pid) < _MEMORY_LIMIT_KIB
    conversation.send(RESULT)
    receiver.join()
    assert process.wait(PATIENCE_S) == 0
    expected = hashlib.sha256()
    for _ in range(count):
        expected.update(piece.encode())
    assert (length, digest.digest()) == (len(piece.encode()) * count, expected.digest())


def test_data_before_its_stream_is_held_up_to_a_bound(daemon: FakeDaemon) -> None:
    """What must be held is bounded, and past the bound the error says so."""
    small = encode({"params": {"data": "x" * 1_000_000, "stream": "stdout"}, "method": "output"})
    assert daemon.answer(small, RESULT) == Ended(0, b"x" * 1_000_000, "")
    large = encode({"params": {"data": "x" * 5_000_000, "stream": "stdout"}, "method": "output"})
    ended = daemon.answer(large, RESULT)
    assert ended.status == 125
    assert "more than 4 MiB of output comes before the name of its stream" in ended.stderr


def _peak_memory_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
