"""The cost of a shim itself: bytes on disk, and time without a daemon."""

import os
from collections.abc import Iterator
from functools import partial

from bench.bench_run import BenchRun
from bench.calls import Call
from bench.deployment import base_environment
from bench.errors import CallFailed
from bench.figures import Figure, at_most, estimated, fail
from bench.interleaving import interleave
from bench.pairs import Pair
from bench.samples import Samples, estimate, ratio

_SIZE, _OWN = at_most(160), at_most(0.2)


def measure_shim(run: BenchRun) -> Iterator[Figure]:
    """Yield each shim's size, and the time of its `--version` compared with `true`."""
    for pair in run.pairs:
        yield Figure(
            what="shim: size of the file",
            pair=pair.name,
            unit="kB",
            value=os.path.getsize(pair.shim) / 1e3,
            n=1,
            goal=_SIZE,
        )
        yield from _measure_time(run, pair)


def _measure_time(run: BenchRun, pair: Pair) -> Iterator[Figure]:
    what = "shim: `--version`, from before its start until it has ended"
    own = Call(pair.shim, ("airlock-shim", "--version"), base_environment(run.work))
    with run.caller() as caller:
        try:
            taken = interleave(
                {
                    "direct": partial(caller.time, run.direct("true")),
                    "shim": partial(caller.time, own),
                },
                rounds=run.plan.calls,
                warm_up=3,
                settle=partial(caller.time, run.direct("true")),
            )
        except CallFailed as error:
            yield fail(what, pair.name, "ms", str(error), goal=_OWN)
            return
    yield _describe(what, pair, taken["direct"], taken["shim"])


def _describe(what: str, pair: Pair, direct: Samples, shim: Samples) -> Figure:
    found = estimate([seconds * 1e3 for seconds in shim.values])
    return estimated(
        found,
        what=what,
        pair=pair.name,
        unit="ms",
        goal=_OWN,
        behind={"`true` ms": direct.median * 1e3, "over `true` times": ratio(direct, shim).value},
    )
