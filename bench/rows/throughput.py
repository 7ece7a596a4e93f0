"""The throughput of a large output, as a share of the direct one."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from bench.bench_run import BenchRun
from bench.calls import Call
from bench.content import Kind, write_content
from bench.deployment import TITLES, Deployment, Way
from bench.errors import CallFailed
from bench.figures import Figure, Goal, at_least, estimated, fail
from bench.interleaving import interleave
from bench.plan import MIB
from bench.samples import Samples, ratio
from bench.transfers import digest, receive

_KINDS: tuple[Kind, ...] = ("text of 80 columns", "random bytes", "one line without a newline")

_GOALS: Mapping[tuple[Kind, Way], Goal] = {
    ("text of 80 columns", "descriptors"): at_least(0.95),
    ("text of 80 columns", "streamed"): at_least(0.9),
}


def measure_throughput(run: BenchRun) -> Iterator[Figure]:
    """Yield the throughput of `cat` as a share of the direct one, for each kind of content."""
    with run.deploy_all() as deployments, contextlib.chdir(run.work):
        for kind in _KINDS:
            yield from _measure_kind(run, kind, deployments)


def _measure_kind(
    run: BenchRun, kind: Kind, deployments: list[tuple[Way, Deployment]]
) -> Iterator[Figure]:
    plan = run.plan
    files = write_content(run.data, kind, plan.size)
    (sample,) = write_content(run.data, kind, MIB)
    variants: dict[str, Callable[[], float]] = {
        "direct": partial(_time, run, run.direct("cat", *files))
    }
    faults = {}
    for way, deployment in deployments:
        key = f"{deployment.pair.name} {way}"
        try:
            faults[key] = _check(run, deployment.call("cat", sample), sample)
        except CallFailed as error:
            faults[key] = str(error)
        else:
            variants[key] = partial(_time, run, deployment.call("cat", *files))
    samples = interleave(variants, rounds=plan.transfers, warm_up=0, budget_s=plan.budget_s)
    for way, deployment in deployments:
        key, goal = f"{deployment.pair.name} {way}", _GOALS.get((kind, way))
        what = f"{plan.size // MIB:,} MiB of {kind}, {TITLES[way]}: throughput over direct"
        if key not in samples:
            yield fail(what, deployment.pair.name, "times", faults[key], goal=goal)
            continue
        yield _compare(
            what,
            deployment,
            plan.size,
            direct=samples["direct"],
            through=samples[key],
            goal=goal,
            fault=faults[key],
        )


def _time(run: BenchRun, call: Call) -> float:
    done = receive(call, expected=run.plan.size, patience_s=run.plan.patience_s)
    return done.seconds


def _check(run: BenchRun, call: Call, sample: str) -> str:
    found = digest(call, patience_s=run.plan.patience_s)
    same = found == hashlib.sha256(Path(sample).read_bytes()).hexdigest()
    return "" if same else "other bytes come than were written"


def _compare(
    what: str,
    deployment: Deployment,
    size: int,
    *,
    direct: Samples,
    through: Samples,
    goal: Goal | None,
    fault: str,
) -> Figure:
    found = ratio(through, direct)
    return estimated(
        found,
        what=what,
        pair=deployment.pair.name,
        unit="times",
        goal=goal,
        behind={
            "direct MB/s": size / direct.median / 1e6,
            "through MB/s": size / through.median / 1e6,
        },
        fault=fault,
        note=deployment.note,
    )
