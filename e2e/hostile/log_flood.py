"""Filling the audit log with refusals: the records of another agent stay, and it is served as ever.

One agent sends requests of the largest size, one after the other, and each is refused. They are
full of control characters, which take six bytes each where they are recorded.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from e2e.hostile.daemon import Target, run_daemon
from e2e.hostile.fairness import percentile, time_call
from e2e.hostile.world import HONEST, HOSTILE
from e2e.world.client import Client
from e2e.world.errors import BrokenError
from e2e.world.lines import make_request
from e2e.world.process_status import resident_memory
from e2e.world.worker import start_module

_MIB = 1 << 20

_LARGEST = 4 * _MIB

_KEPT = 50 * _MIB
"""How much more memory may be resident afterwards."""


class Figure(NamedTuple):
    """What came of it: bytes of the log, times of the other agent in ms, bytes of memory."""

    refused: int
    written: int
    calls: int
    p99_alone: float
    p99: float
    grown: int

    @property
    def ratio(self) -> float:
        """The p99 meanwhile, compared with that alone."""
        return self.p99 / self.p99_alone

    def __str__(self) -> str:
        """The figures in one line, as a person reads them."""
        return (
            f"{self.refused} refused requests of {_LARGEST // _MIB} MiB: "
            f"{self.written / 1e6:.1f} MB of log, memory grew by {self.grown / _MIB:.1f} MiB; "
            f"{self.calls} calls of another agent, all recorded, "
            f"p99 {self.p99:.1f} ms ({self.ratio:.2f} times that alone)"
        )


def flood_log(
    refusals: int,
    *,
    executable: str | None = None,
    settings: str = "",
    calls: int = 2000,
    say: Callable[[str], None] = print,
) -> Figure:
    """Have so many requests refused while another agent works, and look at what it noticed.

    `settings` follow the path of the log in config.toml; so many `calls` of the other agent are
    timed before and meanwhile, while the flood is slowed down for them. Raises BrokenError where a
    record is missing, the chain is broken or memory has grown. How long the calls took is for the
    caller to judge.
    """
    with run_daemon(executable, settings=settings) as daemon:
        for _ in range(50):
            daemon.ask_true()
        alone = [time_call(daemon) for _ in range(calls)]
        before = resident_memory(daemon.pid)
        meanwhile = _time_meanwhile(daemon, refusals, calls)
        grown = resident_memory(daemon.pid) - before
        if daemon.stop() != 0:
            raise BrokenError(f"the daemon ended badly: {daemon.read_words()}")
        written = _check_log(daemon.world.log, calls=50 + calls + len(meanwhile), refusals=refusals)
    figure = Figure(
        refusals, written, len(meanwhile), percentile(alone, 99), percentile(meanwhile, 99), grown
    )
    say(str(figure))
    if grown > _KEPT:
        raise BrokenError(f"memory grew by {grown // _MIB} MiB")
    return figure


def be_refused(path: str, *, count: int) -> None:
    """Send so many requests of the largest size, each when the one before was answered."""
    words = ["\x01" * 512] * (_LARGEST // (6 * 512 + 4) - 1)
    line = make_request("sudo", *words, "x" * 1000)
    for _ in range(count):
        with Client(path) as client:
            client.send(line)
            client.await_error(-32601)


def _time_meanwhile(daemon: Target, refusals: int, calls: int) -> list[float]:
    path = str(daemon.world.socket(HOSTILE))
    worker = start_module("e2e.hostile.worker", "refusals", path, str(refusals))
    times: list[float] = []
    try:
        while worker.poll() is None and len(times) < calls:
            times.append(time_call(daemon))
        worker.wait()
    finally:
        worker.kill()
        worker.communicate()
    if worker.returncode != 0:
        raise BrokenError(f"the flood has failed, see above; {daemon.read_words()}")
    return times


def _check_log(path: Path, *, calls: int, refusals: int) -> int:
    """Look whether each call and each refusal is in the log; returns its size in bytes."""
    counted: Counter[tuple[str, str, str | None]] = Counter()
    for record in _read_all(path):
        key = record["profile"], record["event"], record["outcome"]
        counted[key] += record["count"] or 1
    wanted = {
        (HONEST, "exec-start", None): calls,
        (HONEST, "exec", "allowed"): calls,
        (HOSTILE, "exec", "denied"): refusals,
    }
    for key, count in wanted.items():
        if counted[key] != count:
            raise BrokenError(f"{count} times {key} were wanted, the log has {counted[key]}")
    return sum(file.stat().st_size for file in _list_files(path))


def _read_all(path: Path) -> Iterator[dict[str, Any]]:
    previous: str | None = None
    for number, line in enumerate(
        line for file in _list_files(path) for line in file.read_bytes().splitlines()
    ):
        if len(line) >= 4096:
            raise BrokenError(f"a line of the log has {len(line)} bytes")
        record: dict[str, Any] = json.loads(line)
        # The first one follows on what was rotated away, if anything was.
        if number and record["prev"] != previous:
            raise BrokenError(f"line {number + 1} does not continue the one before: {line[:300]!r}")
        previous = hashlib.sha256(line).hexdigest()
        yield record


def _list_files(path: Path) -> list[Path]:
    """The files of a log, the oldest one first."""
    older = sorted(path.parent.glob(f"{path.name}.*"), key=lambda file: -int(file.suffix[1:]))
    return [*older, path]
