"""The memory of daemon and shim for a large output, beyond that for a small one."""

import contextlib
from collections.abc import Iterator

from e2e.world.process_status import peak_memory

from bench.bench_run import BenchRun
from bench.content import Kind, write_content
from bench.deployment import Deployment
from bench.errors import CallFailed
from bench.figures import Figure, at_most, fail
from bench.plan import MIB
from bench.transfers import receive

_KINDS: tuple[Kind, ...] = ("text of 80 columns", "one line without a newline")

_GOAL = at_most(8)


def measure_memory(run: BenchRun) -> Iterator[Figure]:
    """Yield the growth of peak memory with the output, for the larger of the two processes."""
    for pair in run.pairs:
        for kind in _KINDS:
            with run.deploy(pair, "streamed") as deployment, contextlib.chdir(run.work):
                yield _measure_growth(run, kind, deployment)


def _measure_growth(run: BenchRun, kind: Kind, deployment: Deployment) -> Figure:
    small, large = run.plan.small_size, run.plan.size
    what = f"{kind}, streamed: memory for {large // MIB:,} beyond that for {small // MIB} MiB"
    try:
        shim_small, daemon_small = _receive(run, kind, small, deployment)
        shim_large, daemon_large = _receive(run, kind, large, deployment)
    except CallFailed as error:
        return fail(what, deployment.pair.name, "MiB", str(error), goal=_GOAL)
    return Figure(
        what=what,
        pair=deployment.pair.name,
        unit="MiB",
        value=max(daemon_large - daemon_small, shim_large - shim_small) / MIB,
        n=1,
        goal=_GOAL,
        behind={
            "daemon MiB": daemon_small / MIB,
            "daemon then MiB": daemon_large / MIB,
            "shim MiB": shim_small / MIB,
            "shim then MiB": shim_large / MIB,
        },
        note=deployment.note,
    )


def _receive(run: BenchRun, kind: Kind, size: int, deployment: Deployment) -> tuple[int, int]:
    """Transfer `size` bytes, and return the peaks of shim and daemon."""
    call = deployment.call("cat", *write_content(run.data, kind, size))
    done = receive(call, expected=size, patience_s=run.plan.patience_s)
    return done.peak, peak_memory(deployment.pid)
