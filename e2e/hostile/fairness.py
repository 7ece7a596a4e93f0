"""Fairness: what an honest agent notices of another one that takes all that it can get."""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from e2e.hostile.daemon import Target, run_daemon
from e2e.hostile.flood import FLOODS, HOGS
from e2e.hostile.world import HOSTILE
from e2e.world.errors import BrokenError
from e2e.world.worker import start_module

GOAL = 2.5
"""How many times as long the slowest hundredth may take under a flood, at most."""

_ROUNDS = 4

# The default table has room for all that one agent may open; this one has not.
_DESCRIPTORS = {"full-table": 512}


class Figure(NamedTuple):
    """How long `true` takes an honest agent, in milliseconds: alone, and under one flood.

    `refused` counts the calls under the flood, of `calls`, that were not carried out.
    """

    flood: str
    calls: int
    refused: int
    alone_median: float
    alone_p99: float
    median: float
    p99: float

    @property
    def ratio(self) -> float:
        """The p99 under the flood, compared with that alone."""
        return self.p99 / self.alone_p99


def measure_fairness(
    calls: int, *, executable: str | None = None, floods: tuple[str, ...] = tuple(FLOODS)
) -> list[Figure]:
    """Time `calls` calls alone and as many under each flood, in turns.

    Under what is done in boxes the calls are in boxes too.
    Raises BrokenError where a call is not carried out though nobody floods.
    """
    figures = []
    for name in floods:
        descriptors = _DESCRIPTORS.get(name, 0)
        with run_daemon(executable, descriptors=descriptors, boxed=name in HOGS) as daemon:
            for _ in range(20):
                daemon.ask_true()
            alone: list[float] = []
            flooded: list[float] = []
            refused = 0
            for _ in range(_ROUNDS):
                share = -(-calls // _ROUNDS)
                alone += [time_call(daemon) for _ in range(share)]
                times = _time_under(daemon, name, share)
                flooded += times
                refused += share - len(times)
            if name in HOGS and '"sandbox":"bubblewrap"' not in daemon.world.log.read_text():
                raise BrokenError("no box was made: see what airlock-daemon doctor says")
        figures.append(
            Figure(
                name,
                len(flooded) + refused,
                refused,
                percentile(alone, 50),
                percentile(alone, 99),
                percentile(flooded, 50),
                percentile(flooded, 99),
            )
        )
    return figures


def print_table(figures: list[Figure], say: Callable[[str], None] = print) -> None:
    """Write the figures as a table of Markdown."""
    say(f"p99 of an honest agent's `true`, in ms; goal: at most {GOAL} times that alone")
    say("| flood | calls | refused | median alone | p99 alone | median | p99 | ratio of p99 |")
    say("|---|--:|--:|--:|--:|--:|--:|--:|")
    for figure in figures:
        say(
            f"| {figure.flood} | {figure.calls} | {figure.refused} | {figure.alone_median:.2f} "
            f"| {figure.alone_p99:.2f} | {figure.median:.2f} | {figure.p99:.2f} "
            f"| {figure.ratio:.2f} |"
        )


def _time_under(daemon: Target, name: str, calls: int) -> list[float]:
    """Return the times of those of so many calls that are carried out."""
    worker = start_module("e2e.hostile.worker", name, str(daemon.world.socket(HOSTILE)))
    times = []
    try:
        if worker.stdout is None or not worker.stdout.readline():
            raise BrokenError(f"the flood {name} did not get under way")
        for _ in range(calls):
            with suppress(BrokenError):
                times.append(time_call(daemon))
    finally:
        worker.communicate()
    if worker.returncode != 0:
        raise BrokenError(f"the flood {name} has failed, see above")
    _await_quiet(daemon)
    return times


def _await_quiet(daemon: Target) -> None:
    """Return when the flooding agent is served again: what it left behind is done."""
    while True:
        with suppress(BrokenError):
            daemon.ask_true(HOSTILE)
            daemon.ask_true()
            return


def time_call(daemon: Target) -> float:
    """Return how many milliseconds a call of the honest agent takes."""
    started = time.perf_counter()
    daemon.ask_true()
    return (time.perf_counter() - started) * 1000


def percentile(values: list[float], percent: int) -> float:
    """Return the smallest value that so many percent of all do not exceed; infinite for none."""
    ordered = sorted(values)
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else math.inf
