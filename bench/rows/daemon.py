"""The cost of a daemon itself: start, `version`, and idle memory."""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from e2e.world.client import Client
from e2e.world.errors import BrokenError, NotHereError
from e2e.world.lines import make_request
from e2e.world.process_status import resident_memory, shared_memory

from bench.bench_run import BenchRun
from bench.calls import Call, Caller
from bench.deployment import Deployment, base_environment, start_daemon
from bench.errors import BenchError, CallFailed
from bench.figures import Figure, at_most, estimated, fail
from bench.interleaving import interleave
from bench.pairs import Pair
from bench.samples import estimate
from bench.setup_files import TIMED

_MEMORY, _START, _VERSION = at_most(40), at_most(300), at_most(30)


def measure_daemon(run: BenchRun) -> Iterator[Figure]:
    """Yield idle memory, time from start to first answer, and time of `version`."""
    for pair in run.pairs:
        with run.deploy(pair, "descriptors") as deployment:
            yield from _measure_memory(deployment)
        yield _measure_start(run, pair)
        yield _measure_version(run, pair)


def _measure_memory(deployment: Deployment) -> Iterator[Figure]:
    behind: dict[str, float] = {}
    # The daemon is not dumpable, so only root can read it.
    with suppress(NotHereError):
        behind["shared pages in proportion (PSS) MB"] = shared_memory(deployment.pid) / 1e6
    yield Figure(
        what="daemon that has answered and is idle: resident memory",
        pair=deployment.pair.name,
        unit="MB",
        value=resident_memory(deployment.pid) / 1e6,
        n=1,
        goal=_MEMORY,
        behind=behind,
    )


def _measure_start(run: BenchRun, pair: Pair) -> Figure:
    # One deployment writes the files in the form that this daemon accepts; then they are reused.
    with run.deploy(pair, "descriptors") as deployment:
        pass
    taken = [_time_start(deployment, run) for _ in range(run.plan.starts)]
    found = estimate([seconds * 1e3 for seconds in taken])
    return estimated(
        found,
        what="daemon: from its start to the first answer",
        pair=pair.name,
        unit="ms",
        goal=_START,
    )


def _time_start(deployment: Deployment, run: BenchRun) -> float:
    places, patience_s = deployment.places, run.plan.patience_s
    shutil.rmtree(places.sockets)
    places.sockets.mkdir(mode=0o700)
    started = time.perf_counter()
    try:
        with start_daemon(deployment.pair, places, patience_s=patience_s):
            with Client(places.socket(TIMED)) as client:
                client.send(make_request("true", cwd=str(run.work)))
                client.await_result()
            return time.perf_counter() - started
    except BrokenError as error:
        raise BenchError(str(error)) from error


def _measure_version(run: BenchRun, pair: Pair) -> Figure:
    what = "`airlock-daemon version` beyond an empty Python"
    variables = base_environment(run.work)
    python = Call(sys.executable, (sys.executable, "-c", "pass"), variables)
    version = Call(pair.daemon, (pair.daemon, "version"), variables)
    with run.caller() as caller:
        try:
            taken = interleave(
                {
                    "python": partial(Caller.time, caller, python),
                    "version": partial(Caller.time, caller, version),
                },
                rounds=run.plan.starts * 2,
                warm_up=2,
            )
        except CallFailed as error:
            return fail(what, pair.name, "ms", str(error), goal=_VERSION)
    bare, full = taken["python"], taken["version"]
    pairs = zip(bare.values, full.values, strict=True)
    found = estimate([(other - one) * 1e3 for one, other in pairs])
    return estimated(
        found,
        what=what,
        pair=pair.name,
        unit="ms",
        goal=_VERSION,
        behind={"python -c pass ms": bare.median * 1e3, "version ms": full.median * 1e3},
    )
