"""The effect on other agents of one that takes all it can."""

import time
from collections.abc import Iterable, Iterator
from functools import partial

import msgspec
from e2e.world.process_status import cpu_seconds, peak_memory

from bench.bench_run import BenchRun
from bench.calls import Caller
from bench.crowds import crowding
from bench.deployment import Deployment
from bench.errors import BenchError
from bench.figures import Figure, Unit, at_least, at_most, fail
from bench.load import Counts, Kind
from bench.pairs import Pair
from bench.samples import Samples

_WORST, _AT_REST = at_most(2.5), at_most(10)

_AT_NOTHING = "daemon with nothing to do: CPU time"


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of crowd: its name in the table, and what how many clients do.

    `descriptors` is the daemon's RLIMIT_NOFILE, 0 for ours. With `is_still` the daemon should be
    idle, and its CPU time is measured.
    """

    name: str
    kind: Kind
    count: int
    size: int = 0
    descriptors: int = 0
    is_still: bool = False


def measure_crowding(run: BenchRun) -> Iterator[Figure]:
    """Yield the 99th percentile of one agent's `true` under another's load, relative to no load.

    Also: whether the daemon spins meanwhile, and whether clients over a limit get an error. A pair
    that fails under one load is still measured under the others.
    """
    for pair in run.pairs:
        yield from _take(_watch_alone(run, pair), _AT_NOTHING, pair, "% of a core")
        for load in _list_loads(run):
            yield from _take(_measure_load(run, load, pair), _name(load), pair, "times")
        yield from _take(_count_answers(run, pair), _name_answers(run), pair, "%")


def _take(figures: Iterator[Figure], what: str, pair: Pair, unit: Unit) -> Iterable[Figure]:
    """Return the figures of one condition, or one figure with the reason of a failure."""
    try:
        return list(figures)
    except BenchError as error:
        return [fail(what, pair.name, unit, str(error).splitlines()[0])]


def _list_loads(run: BenchRun) -> Iterator[Load]:
    plan = run.plan
    yield Load(name=f"{plan.idle:,} idle connections", kind="idle", count=plan.idle, is_still=True)
    yield Load(
        name=f"a descriptor table of {plan.descriptors}, full",
        kind="idle",
        count=plan.descriptors + 50,
        descriptors=plan.descriptors,
        is_still=True,
    )
    yield Load(name=f"lines of {plan.line / 1e6:.0f} MB", kind="line", count=1, size=plan.line)
    yield Load(name=f"a flood of commands, {plan.width} at once", kind="commands", count=plan.width)
    yield Load(
        name=f"a flood of refused requests, {plan.width} at once",
        kind="refusals",
        count=plan.width,
    )


def _measure_load(run: BenchRun, load: Load, pair: Pair) -> Iterator[Figure]:
    with run.deploy(pair, "descriptors", descriptors=load.descriptors) as deployment:
        yield from _measure_deployed(run, load, deployment)


def _measure_deployed(run: BenchRun, load: Load, deployment: Deployment) -> Iterator[Figure]:
    plan = run.plan
    alone, under = _Stretch(), _Stretch()
    busy_s = watched_s = 0.0
    counts: list[Counts] = []
    memory = peak_memory(deployment.pid)
    crowd = partial(
        crowding,
        deployment,
        load.kind,
        count=load.count,
        size=load.size,
        patience_s=plan.patience_s,
    )
    with run.caller() as caller:
        for _ in range(plan.blocks):
            alone.take(run, caller, deployment)
            with crowd() as seen:
                if load.is_still:
                    busy_s += _watch(deployment.pid, plan.watch_s)
                    watched_s += plan.watch_s
                under.take(run, caller, deployment)
            counts.append(seen)
    yield _compare(load, deployment, alone, under, counts)
    if load.is_still:
        yield Figure(
            what=f"daemon under {load.name}: CPU time",
            pair=deployment.pair.name,
            unit="% of a core",
            value=100 * busy_s / watched_s,
            n=plan.blocks,
            goal=_AT_REST,
        )
    if load.kind == "line":
        grown = peak_memory(deployment.pid) - memory
        yield Figure(
            what=f"daemon under {load.name}: memory grows by",
            pair=deployment.pair.name,
            unit="MB",
            value=grown / 1e6,
            n=1,
            fault=_complain_of_silence(counts),
        )


class _Stretch:
    """Calls of `true` in one condition, alternating between Airlock and direct."""

    def __init__(self) -> None:
        self.through: list[float] = []
        self.direct: list[float] = []
        self.failures = 0
        self.complaint = ""

    def take(self, run: BenchRun, caller: Caller, deployment: Deployment) -> None:
        call, direct = deployment.call("true"), run.direct("true")
        for _ in range(run.plan.block_calls):
            ended = caller.run(call)
            self.through.append(ended.seconds)
            if ended.status:
                self.failures += 1
                self.complaint = caller.complained.decode(errors="replace").strip()
            self.direct.append(caller.time(direct))

    def worst_ms(self) -> float:
        return Samples(tuple(self.through)).quantile(0.99) * 1e3

    def worst_direct_ms(self) -> float:
        return Samples(tuple(self.direct)).quantile(0.99) * 1e3


def _compare(
    load: Load, deployment: Deployment, alone: _Stretch, under: _Stretch, counts: list[Counts]
) -> Figure:
    calls = len(alone.through) + len(under.through)
    failures = alone.failures + under.failures
    complaint = under.complaint or alone.complaint or "nothing on stderr"
    opened = sum(seen.opened for seen in counts)
    return Figure(
        what=_name(load),
        pair=deployment.pair.name,
        unit="times",
        value=under.worst_ms() / alone.worst_ms(),
        n=len(under.through),
        goal=_WORST,
        behind={
            "alone p99 ms": alone.worst_ms(),
            "under it p99 ms": under.worst_ms(),
            "direct alone p99 ms": alone.worst_direct_ms(),
            "direct under it p99 ms": under.worst_direct_ms(),
            "connections of the crowd": opened,
        },
        fault=f"{failures} of {calls} calls failed, with: {complaint}" if failures else "",
        note=deployment.note,
    )


def _name(load: Load) -> str:
    return f"`true` of another agent under {load.name}: 99th percentile over that alone"


def _watch_alone(run: BenchRun, pair: Pair) -> Iterator[Figure]:
    with run.deploy(pair, "descriptors") as deployment:
        busy_s = _watch(deployment.pid, run.plan.watch_s)
    yield Figure(
        what=_AT_NOTHING,
        pair=pair.name,
        unit="% of a core",
        value=100 * busy_s / run.plan.watch_s,
        n=1,
        goal=_AT_REST,
    )


def _watch(pid: int, seconds: float) -> float:
    before = cpu_seconds(pid)
    time.sleep(seconds)
    return cpu_seconds(pid) - before


def _name_answers(run: BenchRun) -> str:
    what = "clients over the limit of connections that are told so"
    return f"{run.plan.beyond:,} connections of one agent: {what}"


def _count_answers(run: BenchRun, pair: Pair) -> Iterator[Figure]:
    plan = run.plan
    with (
        run.deploy(pair, "descriptors") as deployment,
        crowding(deployment, "idle", count=plan.beyond, patience_s=plan.patience_s) as counts,
    ):
        # Refused clients reconnect meanwhile: any of them might get no answer.
        time.sleep(plan.watch_s)
    refused = counts.limited + counts.silent
    told = 100 * counts.limited / refused if refused else 0
    yield Figure(
        what=_name_answers(run),
        pair=pair.name,
        unit="%",
        value=told,
        n=refused,
        goal=at_least(100),
        fault="" if refused else f"there is no limit below {plan.beyond:,}",
    )


def _complain_of_silence(counts: list[Counts]) -> str:
    silent = sum(seen.silent for seen in counts)
    return f"{silent} of the lines got no answer" if silent else ""
