"""The effect of one agent's large push on the daemon, and on another agent's latency."""

import contextlib
from collections.abc import Iterator
from os import urandom
from pathlib import Path

import msgspec
from e2e.world.errors import BrokenError

from bench.bench_run import BenchRun
from bench.errors import BenchError
from bench.figures import Figure, at_most, fail
from bench.pairs import Pair
from bench.plan import MIB
from bench.processors import find_one, starting_on
from bench.pushes import Pushed, Pushes, deploy_for_pushes
from bench.samples import Samples
from bench.transports import SERVERS, Serve, Transport

_WORST, _GROWTH = at_most(2.5), at_most(8)
_PIECE = 16 * MIB


def measure_push(run: BenchRun) -> Iterator[Figure]:
    """Yield by how much a push of `plan.push_size` bytes grows the daemon, and others' p99.

    The p99 is compared with that without a push, and with that during the same push by plain git,
    which bypasses the daemon and shows the load of the push itself. Then once more with git and
    server bound to one processor, so that the remaining delay is Airlock's own. The pairs take
    turns.
    """
    noise = run.data / "noise"
    _write_noise(noise, run.plan.push_size)
    one = find_one()
    for name, serve in SERVERS.items():
        yield from _measure(run, serve, run.data / f"push-{name}", noise, on=None)
        if one is not None:
            yield from _measure(run, serve, run.data / f"push-{name}-bound", noise, on=one)


def _measure(
    run: BenchRun, serve: Serve, folder: Path, noise: Path, *, on: frozenset[int] | None
) -> Iterator[Figure]:
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        with starting_on(on):
            transport = stack.enter_context(serve(folder))
        titles = _Titles.of(run.plan.push_size, transport, is_bound=on is not None)
        pushes = Pushes(folder, noise, on=on, patience_s=run.plan.patience_s)
        pushed: dict[Pair, Pushed] = {}
        try:
            for pair in run.pairs:
                deployed = deploy_for_pushes(run, pair, transport, folder / pair.name)
                pushed[pair] = stack.enter_context(deployed)
            _take_turns(run, pushes, list(pushed.values()))
        except (BrokenError, BenchError) as error:
            for pair in run.pairs:
                yield from titles.fail(pair, str(error).splitlines()[0])
        else:
            for pair, found in pushed.items():
                yield from titles.tell(pair, found)


def _take_turns(run: BenchRun, pushes: Pushes, pushed: list[Pushed]) -> None:
    with run.caller() as caller:
        for each in pushed:
            each.warm_up(caller, pushes)
        for number in range(run.plan.blocks):
            # Alternate which is first.
            for each in pushed[::-1] if number % 2 else pushed:
                each.take_block(caller, pushes, alone=run.plan.block_calls // 2)
            if any(sum(each.pushes["through"]) > run.plan.budget_s / 4 for each in pushed):
                break


class _Titles(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one transport; `memory` is empty if it was reported before."""

    memory: str
    alone: str
    plain: str

    @classmethod
    def of(cls, size: int, transport: Transport, *, is_bound: bool) -> "_Titles":
        bound = ", whose git and server share one processor" if is_bound else ""
        push = f"a push of {size // MIB:,} MiB over {transport.name}{bound}"
        others = f"`true` of another agent under {push}: 99th percentile over that"
        return cls(
            memory="" if is_bound else f"{push}: the daemon's memory grows by",
            alone=f"{others} alone",
            plain=f"{others} under plain git's push",
        )

    def tell(self, pair: Pair, found: Pushed) -> Iterator[Figure]:
        """Yield the figures of a pair."""
        if self.memory:
            yield Figure(
                what=self.memory,
                pair=pair.name,
                unit="MiB",
                value=found.grown / MIB,
                n=1,
                goal=_GROWTH,
                behind={"daemon at rest MiB": found.rests / MIB},
            )
        calls = {name: Samples(tuple(taken)) for name, taken in found.calls.items()}
        pushes = {name: Samples(tuple(taken)) for name, taken in found.pushes.items()}
        behind = {
            "alone ms": calls["alone"].median * 1e3,
            "alone p99 ms": calls["alone"].quantile(0.99) * 1e3,
            "under it ms": calls["through"].median * 1e3,
            "under it p99 ms": calls["through"].quantile(0.99) * 1e3,
            "under plain git's ms": calls["plain"].median * 1e3,
            "under plain git's p99 ms": calls["plain"].quantile(0.99) * 1e3,
            "push s": pushes["through"].median,
            "plain git's push s": pushes["plain"].median,
        }
        worst = {name: taken.quantile(0.99) for name, taken in calls.items()}
        for title, compared in ((self.alone, "alone"), (self.plain, "plain")):
            yield Figure(
                what=title,
                pair=pair.name,
                unit="times",
                value=worst["through"] / worst[compared],
                n=len(calls["through"].values),
                goal=_WORST,
                behind=behind,
            )

    def fail(self, pair: Pair, fault: str) -> Iterator[Figure]:
        """Yield the figures of a pair that could not be measured."""
        if self.memory:
            yield fail(self.memory, pair.name, "MiB", fault, goal=_GROWTH)
        for what in (self.alone, self.plain):
            yield fail(what, pair.name, "times", fault, goal=_WORST)


def _write_noise(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for at in range(0, size, _PIECE):
            file.write(urandom(min(_PIECE, size - at)))
