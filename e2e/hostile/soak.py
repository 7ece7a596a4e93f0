"""The soak: very many requests from several client processes, and a daemon that stays as it was."""

import time
from collections.abc import Callable
from typing import NamedTuple

from e2e.hostile.daemon import Target, run_daemon
from e2e.hostile.footprint import Footprint
from e2e.hostile.log import LogReader
from e2e.hostile.rest import await_rest, warm_up
from e2e.hostile.world import HOSTILE
from e2e.world.errors import BrokenError
from e2e.world.worker import start_module

_MIB = 1 << 20
_CLIENTS = 4
_STAGES = 4

_FLAT = 4 * _MIB
"""How much more memory may be resident after the last third than after the first."""


class Stage(NamedTuple):
    """How a daemon stood when it had come to rest after so many requests."""

    requests: int
    seconds: float
    footprint: Footprint

    def __str__(self) -> str:
        """The stage in one line, as a person reads it."""
        return (
            f"after {self.requests} requests ({self.seconds:.0f} s): "
            f"{self.footprint.resident / _MIB:.1f} MiB, "
            f"{len(self.footprint.descriptors)} descriptors, "
            f"{len(self.footprint.descendants)} processes"
        )


def soak(
    requests: int, *, executable: str | None = None, say: Callable[[str], None] = print
) -> list[Stage]:
    """Make at least so many requests in a warm-up and three thirds, and return how it stood.

    `say` is told each stage. Raises BrokenError where an answer was wrong, a descriptor, a process
    or a directory is left, memory has grown from the first third to the last, a record is missing,
    or the log's chain is broken.
    """
    first = max(requests // 10, _CLIENTS)
    with run_daemon(executable) as daemon:
        log = LogReader(daemon.world.log)
        stages: list[Stage] = []
        made = 0
        before = warm_up(daemon)
        for number in range(_STAGES):
            count = -(-(requests // 3 if number else first) // _CLIENTS)
            started = time.monotonic()
            _play(daemon, count=count, seed=number * _CLIENTS)
            made += count * _CLIENTS
            footprint = await_rest(daemon, before=before, log=log, requests=made)
            stages.append(Stage(made, time.monotonic() - started, footprint))
            say(str(stages[-1]))
        grown = stages[-1].footprint.resident - stages[1].footprint.resident
        if grown > _FLAT:
            raise BrokenError(f"memory grew by {grown / _MIB:.1f} MiB in two thirds of the soak")
        if daemon.stop() != 0:
            raise BrokenError(f"the daemon ended badly: {daemon.read_words()}")
        log.read()
        say(f"{sum(log.events.values())} records, the chain unbroken")
    return stages


def _play(daemon: Target, *, count: int, seed: int) -> None:
    path = str(daemon.world.socket(HOSTILE))
    clients = [
        start_module("e2e.hostile.worker", "mixture", path, str(count), str(seed + number))
        for number in range(_CLIENTS)
    ]
    try:
        for client in clients:
            client.communicate()
            if client.returncode != 0:
                raise BrokenError(f"a client has failed, see above; {daemon.read_words()}")
    finally:
        for client in clients:
            client.kill()
            client.communicate()
