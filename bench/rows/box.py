"""The cost of a command in its box: a prewarmed one, and one that it must wait for."""

import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from e2e.world.process_status import list_descendants, shared_memory

from bench.bench_run import BenchRun
from bench.bursts import Burst, run_burst
from bench.calls import Caller
from bench.deployment import Deployment
from bench.figures import Figure, Goal, at_most, estimated
from bench.interleaving import interleave
from bench.samples import Samples, added, ratio
from bench.setup_files import BOXED, COLD

_GOAL = at_most(1.8)

# Several times the time to make a box: the minimum interval between an agent's commands.
_PAUSE_S = 0.05

_UNBOXED, _AHEAD, _COLD = "not in a box", "in a box made ahead", "in a box made for it"


def measure_box(run: BenchRun) -> Iterator[Figure]:
    """Yield what `true` adds to its direct time in a box, and the cost of a burst and a wait there.

    Only for our own pair, since others make no boxes.
    """
    own = run.pairs[0]
    with (
        run.deploy(own, "descriptors", boxes=True) as deployment,
        run.deploy(own, "descriptors", boxes=True) as cold,
        run.caller() as caller,
    ):
        direct = partial(caller.time, run.direct("true"))
        names = itertools.cycle(COLD)
        variants: dict[str, Callable[[], float]] = {
            "direct": direct,
            _UNBOXED: partial(caller.time, deployment.call("true")),
            _AHEAD: partial(caller.time, deployment.call(BOXED)),
            _COLD: lambda: caller.time(cold.call(next(names))),
        }
        samples = interleave(
            variants,
            rounds=run.plan.calls,
            warm_up=3,
            settle=partial(_settle, direct),
            budget_s=run.plan.budget_s,
        )
        yield _compare(own.name, samples, _UNBOXED, "50 ms apart")
        yield _compare(own.name, samples, _AHEAD, "50 ms apart", _GOAL)
        yield _compare(own.name, samples, _COLD, "50 ms apart")
        yield from _measure_memory(deployment)
        samples = interleave(
            {"direct": direct, _AHEAD: variants[_AHEAD]},
            rounds=run.plan.calls,
            warm_up=3,
            settle=direct,
            budget_s=run.plan.budget_s,
        )
        yield _compare(own.name, samples, _AHEAD, "one after the other, as fast as they come")
        yield _measure_burst(run, deployment, caller)


def _settle(direct: Callable[[], float]) -> None:
    time.sleep(_PAUSE_S)
    direct()


def _compare(
    pair: str, samples: Mapping[str, Samples], key: str, apart: str, goal: Goal | None = None
) -> Figure:
    direct, through = samples["direct"], samples[key]
    return estimated(
        added(direct, through),
        what=f"`true` {key}, {apart}: adds to direct",
        pair=pair,
        unit="times",
        goal=goal,
        behind={
            "direct ms": direct.median * 1e3,
            "through ms": through.median * 1e3,
            "through p90 ms": through.quantile(0.9) * 1e3,
        },
    )


def _measure_memory(deployment: Deployment) -> Iterator[Figure]:
    """Of the processes only: the kernel's memory for their namespaces belongs to none."""
    time.sleep(_PAUSE_S)
    below = list_descendants(deployment.pid)
    boxes = sum(name == "bwrap" for _, name in below)
    # None is dumpable, so only root can read it.
    if not boxes or os.geteuid() != 0:
        return
    yield Figure(
        what="boxes that wait, with what starts them: memory of the processes for each (PSS)",
        pair=deployment.pair.name,
        unit="kB",
        value=sum(shared_memory(pid) for pid, _ in below) / 1e3 / boxes,
        n=boxes,
        behind={"processes": len(below)},
    )


def _measure_burst(run: BenchRun, deployment: Deployment, caller: Caller) -> Figure:
    plan = run.plan
    taken: dict[str, list[Burst]] = {}

    def burst(name: str) -> float:
        call = run.direct("true") if name == "direct" else deployment.call(name)
        done = run_burst([call] * plan.burst, caller=caller, patience_s=plan.patience_s)
        taken.setdefault(name, []).append(done)
        return done.seconds

    samples = interleave(
        {name: partial(burst, name) for name in ("direct", "true", BOXED)},
        rounds=plan.bursts,
        warm_up=0,
        budget_s=plan.budget_s,
    )
    direct, unboxed, boxed = (samples[name] for name in ("direct", "true", BOXED))
    failures = sum(each.failures for each in taken[BOXED])
    return estimated(
        ratio(direct, boxed),
        what=f"{plan.burst} calls of `true` in boxes at once: time in all over direct",
        pair=deployment.pair.name,
        unit="times",
        behind={
            "direct ms": direct.median * 1e3,
            "unboxed ms": unboxed.median * 1e3,
            "through ms": boxed.median * 1e3,
        },
        fault=f"{failures} failed" if failures else "",
    )
