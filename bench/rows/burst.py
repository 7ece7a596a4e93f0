"""Many calls of one agent at once."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from bench.bench_run import BenchRun
from bench.bursts import Burst, run_burst
from bench.calls import Call, Caller
from bench.deployment import TITLES
from bench.figures import Figure, at_most, estimated
from bench.interleaving import interleave
from bench.samples import Samples, ratio

_TWO = "two daemons"

_TOTAL, _WORST = at_most(2.2), at_most(2.5)


def measure_burst(run: BenchRun) -> Iterator[Figure]:
    """Yield a burst of `true` in total and at its 99th percentile, relative to a direct one.

    Once more with half of the calls to a second daemon: the gain from one process per agent.
    """
    plan, own = run.plan, run.pairs[0]
    taken: dict[str, list[Burst]] = {}
    with (
        run.deploy_all() as deployments,
        run.deploy(own, "descriptors") as second,
        run.caller() as caller,
    ):
        burst = partial(_burst, run, caller, taken)
        variants: dict[str, Callable[[], float]] = {
            "direct": partial(burst, "direct", run.direct("true"))
        }
        for way, deployment in deployments:
            key = f"{deployment.pair.name} {way}"
            variants[key] = partial(burst, key, deployment.call("true"))
        first = deployments[0][1]
        variants[_TWO] = partial(burst, _TWO, first.call("true"), second.call("true"))
        samples = interleave(
            variants,
            rounds=plan.bursts,
            warm_up=0,
            settle=partial(caller.time, run.direct("true")),
            budget_s=plan.budget_s,
        )
    for way, deployment in deployments:
        key = f"{deployment.pair.name} {way}"
        yield from _compare(
            f"{plan.burst} calls of `true` at once, {TITLES[way]}",
            deployment.pair.name,
            samples,
            taken,
            key=key,
            is_judged=way == "descriptors",
            note=deployment.note,
        )
    yield from _compare(
        f"{plan.burst} calls of `true` at once, descriptors passed, half to each of {_TWO}",
        own.name,
        samples,
        taken,
        key=_TWO,
        is_judged=False,
        note=first.note,
    )


def _burst(
    run: BenchRun, caller: Caller, taken: dict[str, list[Burst]], key: str, *calls: Call
) -> float:
    each = [calls[number % len(calls)] for number in range(run.plan.burst)]
    burst = run_burst(each, caller=caller, patience_s=run.plan.patience_s)
    taken.setdefault(key, []).append(burst)
    return burst.seconds


def _compare(
    what: str,
    pair: str,
    samples: Mapping[str, Samples],
    taken: Mapping[str, list[Burst]],
    *,
    key: str,
    is_judged: bool,
    note: str,
) -> Iterator[Figure]:
    direct, through = samples["direct"], samples[key]
    failures = sum(burst.failures for burst in taken[key])
    fault = f"{failures} of {sum(len(burst.each) for burst in taken[key])} failed"
    total = ratio(direct, through)
    yield estimated(
        total,
        what=f"{what}: time in all over direct",
        pair=pair,
        unit="times",
        goal=_TOTAL if is_judged else None,
        behind={"direct ms": direct.median * 1e3, "through ms": through.median * 1e3},
        fault=fault if failures else "",
        note=note,
    )
    one, other = _pool(taken["direct"]), _pool(taken[key])
    yield Figure(
        what=f"{what}: 99th percentile over direct",
        pair=pair,
        unit="times",
        value=other.quantile(0.99) / one.quantile(0.99),
        n=len(other.values),
        goal=_WORST if is_judged else None,
        behind={
            "direct p99 ms": one.quantile(0.99) * 1e3,
            "through p99 ms": other.quantile(0.99) * 1e3,
        },
        fault=fault if failures else "",
        note=note,
    )


def _pool(bursts: list[Burst]) -> Samples:
    return Samples(tuple(seconds for burst in bursts for seconds in burst.each))
