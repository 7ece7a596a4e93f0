"""The cost of a bridge to an engine's virtual machine, with both of its ends on this machine."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from e2e.world.bridged_daemon import write_bridged_daemon

from bench.bench_run import BenchRun
from bench.bursts import run_burst
from bench.calls import Caller
from bench.content import write_content
from bench.deployment import Deployment
from bench.figures import Figure, at_least, at_most, estimated
from bench.interleaving import interleave
from bench.pairs import make_pair
from bench.plan import MIB
from bench.samples import estimate
from bench.transfers import receive

_AT_ONCE, _RUNS = 50, 20


def measure_bridge(run: BenchRun) -> Iterator[Figure]:
    """Yield a bridge's cost for `true`, its throughput, and failures of many calls at once."""
    own = run.pairs[0]
    program = write_bridged_daemon(run.data / "bridged")
    with ExitStack() as stack:
        streamed = stack.enter_context(run.deploy(own, "streamed"))
        pair = make_pair(own.name, program, own.shim)
        bridged = stack.enter_context(run.deploy(pair, "streamed"))
        caller = stack.enter_context(run.caller())
        yield _measure_call(run, caller, streamed, bridged)
        yield _measure_throughput(run, streamed, bridged)
        yield _measure_many(run, caller, bridged)


def _measure_call(
    run: BenchRun, caller: Caller, streamed: Deployment, bridged: Deployment
) -> Figure:
    samples = interleave(
        {
            "streamed": partial(caller.time, streamed.call("true")),
            "bridged": partial(caller.time, bridged.call("true")),
        },
        rounds=run.plan.calls,
        warm_up=3,
        settle=partial(caller.time, run.direct("true")),
        budget_s=run.plan.budget_s,
    )
    before, after = samples["streamed"], samples["bridged"]
    beyond = [
        1e3 * (through - direct)
        for direct, through in zip(before.values, after.values, strict=False)
    ]
    return estimated(
        estimate(beyond),
        what="bridge: `true` over one, beyond streamed without",
        pair=bridged.pair.name,
        unit="ms",
        goal=at_most(2.0),
        behind={"streamed ms": 1e3 * before.median, "over the bridge ms": 1e3 * after.median},
        note=bridged.note,
    )


def _measure_throughput(run: BenchRun, streamed: Deployment, bridged: Deployment) -> Figure:
    plan = run.plan
    files = write_content(run.data, "text of 80 columns", plan.size)

    def time(deployment: Deployment) -> float:
        call = deployment.call("cat", *files)
        return receive(call, expected=plan.size, patience_s=plan.patience_s).seconds

    samples = interleave(
        {"streamed": partial(time, streamed), "bridged": partial(time, bridged)},
        rounds=plan.transfers,
        warm_up=0,
        budget_s=plan.budget_s,
    )
    size = plan.size / MIB
    return estimated(
        estimate([size / seconds for seconds in samples["bridged"].values]),
        what=f"bridge: {size:,.0f} MiB of text over one",
        pair=bridged.pair.name,
        unit="MiB/s",
        goal=at_least(100),
        behind={"streamed MiB/s": size / samples["streamed"].median},
        note=bridged.note,
    )


def _measure_many(run: BenchRun, caller: Caller, bridged: Deployment) -> Figure:
    calls = [bridged.call("true")] * _AT_ONCE
    runs = 1 if run.plan.is_quick else _RUNS
    bursts = [run_burst(calls, caller=caller, patience_s=run.plan.patience_s) for _ in range(runs)]
    failed = sum(burst.failures for burst in bursts)
    return Figure(
        what=f"bridge: calls of `true` that fail, of {_AT_ONCE} at once, {_RUNS} times",
        pair=bridged.pair.name,
        unit="%",
        value=100 * failed / (_AT_ONCE * runs),
        n=runs,
        goal=at_most(0),
    )
