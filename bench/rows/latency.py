"""The time of a short command, through shim and daemon and directly."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from e2e.world.process_status import cpu_seconds

from bench.bench_run import BenchRun
from bench.calls import Call, Caller
from bench.deployment import TITLES, Deployment, Way
from bench.errors import CallFailed
from bench.figures import Figure, Goal, at_most, estimated, fail
from bench.interleaving import interleave
from bench.samples import Samples, added, estimate

_COMMANDS: tuple[tuple[str, ...], ...] = (("true",), ("git", "--version"), ("git", "status"))

_PLACES: Mapping[tuple[str, ...], str] = {("git", "status"): " in a repository of 20 files"}

_GOALS: Mapping[tuple[tuple[str, ...], Way], Goal] = {
    (("true",), "descriptors"): at_most(1.25),
    (("true",), "streamed"): at_most(1.5),
    (("git", "status"), "descriptors"): at_most(0.5),
    (("git", "status"), "streamed"): at_most(0.65),
}

_DIRECT, _AGAIN = "direct", "direct again"


def measure_latency(run: BenchRun) -> Iterator[Figure]:
    """Yield what each short command adds to its direct time, for each pair and way."""
    with run.deploy_all() as deployments, run.caller() as caller:
        for words in _COMMANDS:
            if shutil.which(words[0]):
                yield from _measure_command(run, caller, words, deployments)


def _measure_command(
    run: BenchRun,
    caller: Caller,
    words: tuple[str, ...],
    deployments: list[tuple[Way, Deployment]],
) -> Iterator[Figure]:
    direct = run.direct(*words)
    variants: dict[str, Callable[[], float]] = {
        _DIRECT: partial(caller.time, direct),
        _AGAIN: partial(caller.time, direct),
    }
    faults = {}
    running = {}
    for way, deployment in deployments:
        key, call = f"{deployment.pair.name} {way}", deployment.call(*words)
        faults[key] = _try(caller, call)
        if not faults[key]:
            running[key] = deployment
            variants[key] = partial(caller.time, call)
    plan = run.plan
    samples = interleave(
        variants,
        rounds=plan.calls,
        warm_up=3,
        settle=partial(caller.time, direct),
        budget_s=plan.budget_s,
    )
    if words == _COMMANDS[0]:
        yield from _judge_noise(samples)
    works = _measure_works(run, caller, running) if words == _COMMANDS[0] else {}
    for way, deployment in deployments:
        key = f"{deployment.pair.name} {way}"
        what = f"`{' '.join(words)}`{_PLACES.get(words, '')}, {TITLES[way]}: adds to direct"
        goal = _GOALS.get((words, way))
        if faults[key]:
            yield fail(what, deployment.pair.name, "times", faults[key], goal=goal)
        else:
            yield _compare(what, deployment, samples[_DIRECT], samples[key], goal)
            if key in works:
                yield estimated(
                    estimate([1e3 * seconds for seconds in works[key].values]),
                    what=f"`true`, {TITLES[way]}: CPU time of the daemon for a call",
                    pair=deployment.pair.name,
                    unit="ms",
                )


def _measure_works(
    run: BenchRun, caller: Caller, deployments: Mapping[str, Deployment]
) -> Mapping[str, Samples]:
    """The daemon's own CPU time, which another processor cannot spend on another call."""
    direct = run.direct(*_COMMANDS[0])

    def measure(deployment: Deployment) -> float:
        before = cpu_seconds(deployment.pid)
        caller.time(deployment.call(*_COMMANDS[0]))
        # The daemon ends its work meanwhile.
        caller.time(direct)
        return cpu_seconds(deployment.pid) - before

    variants = {key: partial(measure, deployment) for key, deployment in deployments.items()}
    return interleave(variants, rounds=run.plan.calls, warm_up=3, budget_s=run.plan.budget_s)


def _try(caller: Caller, call: Call) -> str:
    try:
        caller.time(call)
    except CallFailed as error:
        return str(error)
    return ""


def _compare(
    what: str, deployment: Deployment, direct: Samples, through: Samples, goal: Goal | None
) -> Figure:
    found = added(direct, through)
    return estimated(
        found,
        what=what,
        pair=deployment.pair.name,
        unit="times",
        goal=goal,
        behind={
            "direct ms": direct.median * 1e3,
            "direct p90 ms": direct.quantile(0.9) * 1e3,
            "through ms": through.median * 1e3,
            "through p90 ms": through.quantile(0.9) * 1e3,
        },
        note=deployment.note,
    )


def _judge_noise(samples: Mapping[str, Samples]) -> Iterator[Figure]:
    direct = samples[_DIRECT]
    control = added(direct, samples[_AGAIN])
    yield estimated(
        control,
        what="`true` run directly, against itself: adds",
        pair="",
        unit="times",
    )
    yield Figure(
        what="`true` run directly: its 90th percentile over its median",
        pair="",
        unit="times",
        value=direct.quantile(0.9) / direct.median,
        n=len(direct.values),
    )
