"""The cost of a request to an API through the HTTPS broker, and the memory of its worker."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from e2e.world.errors import BrokenError
from e2e.world.process_status import cpu_seconds, list_descendants, shared_memory

from bench.apis import Way, loading, make_certificate, serving
from bench.bench_run import BenchRun
from bench.deployment import start_daemon
from bench.errors import BenchError
from bench.figures import Figure, Goal, at_least, at_most, estimated
from bench.interleaving import interleave
from bench.plan import MIB
from bench.samples import Samples, estimate, ratio
from bench.setup_files import TIMED, Places

_DIRECT, _SPLICED, _BROKER = "direct", "spliced", "broker"
_TOKEN = "token-of-the-service-0123456789"
_PLACEHOLDER = "BENCH_TOKEN"

_PROFILE = """\
commands = ["true"]
[workspace]
host = true
[network]
allow = ["localhost:{plain}"]
[api.bench]
hosts = ["localhost"]
ports = [{port}, {other}]
ca = "{authority}"
credential = {{ as = "header", file = "{token}", placeholder = "bench_{{40}}" }}
allow = ["GET /*", "PUT /*"]
env = {{ {placeholder} = "{{placeholder}}" }}
"""


def measure_https(run: BenchRun) -> Iterator[Figure]:
    """Yield the cost of small requests, large bodies and many streams over direct connections.

    Only for our own pair. A spliced connection goes to a host of [network]: the broker does not
    read it.
    """
    folder = run.data / "https"
    folder.mkdir()
    certificate = make_certificate(folder)
    with contextlib.ExitStack() as stack:
        # The small requests during a load have their own server.
        ports = [stack.enter_context(serving(certificate)) for _ in range(3)]
        try:
            ways, pid = stack.enter_context(_serve(run, folder, certificate, ports))
        except BrokenError as error:
            raise BenchError(str(error)) from error
        yield from _measure_small(run, ways)
        yield from _measure_large(run, ways)
        yield from _measure_memory(run, pid, "behind these transfers", at_most(20))
        yield from _measure_beside(run, ways, ports[2], pid, folder)


@contextlib.contextmanager
def _serve(
    run: BenchRun, folder: Path, certificate: Path, ports: list[int]
) -> Iterator[tuple[Mapping[str, Way], int]]:
    pair = run.pairs[0]
    places = Places(folder / "daemon", work=run.work, shim=pair.shim)
    port, plain, other = ports
    token = folder / "token"
    token.touch(0o600)
    token.write_text(_TOKEN)
    authority = folder / "certificate.pem"
    places.enable(["true"])
    profile = _PROFILE.format(
        plain=plain,
        port=port,
        other=other,
        authority=authority,
        token=token,
        placeholder=_PLACEHOLDER,
    )
    places.add_agent(TIMED, profile=profile)
    with start_daemon(pair, places, patience_s=run.plan.patience_s) as daemon:
        published = places.socket(TIMED).parent
        variables = _wait_for(published / "truststore.p12", published / "client.env", run)
        direct = Way(port=port, broker=None, authorities=str(authority), token=_TOKEN)
        by = str(published / "https.sock")
        yield (
            {
                _DIRECT: direct,
                _SPLICED: Way(port=plain, broker=by, authorities=str(authority), token=_TOKEN),
                _BROKER: Way(
                    port=port,
                    broker=by,
                    authorities=str(published / "ca.pem"),
                    token=variables[_PLACEHOLDER],
                ),
            },
            daemon.pid,
        )


def _wait_for(last: Path, variables: Path, run: BenchRun) -> dict[str, str]:
    """Wait until the daemon has published the tools' variables, and return them."""
    until = time.monotonic() + run.plan.patience_s
    while not last.exists():
        if time.monotonic() > until:
            raise BenchError(f"{last} is not published")
        time.sleep(0.01)
    return dict(line.split("=", 1) for line in variables.read_text().splitlines())


def _measure_small(run: BenchRun, ways: Mapping[str, Way]) -> Iterator[Figure]:
    with contextlib.ExitStack() as stack:
        clients = {name: stack.enter_context(closing(way.connect())) for name, way in ways.items()}
        kept = interleave(
            {name: client.ask for name, client in clients.items()},
            rounds=2 * run.plan.calls,
            warm_up=5,
            budget_s=run.plan.budget_s / 8,
        )

    def ask_fresh(way: Way) -> float:
        began = time.perf_counter()
        with closing(way.connect()) as client:
            client.ask()
            return time.perf_counter() - began

    fresh = interleave(
        {name: partial(ask_fresh, way) for name, way in ways.items()},
        rounds=run.plan.calls,
        warm_up=5,
        budget_s=run.plan.budget_s / 8,
    )
    yield from _add(run, "a small request on a kept connection", kept, at_most(0.6))
    yield from _add(run, "a small request on a fresh connection", fresh, at_most(2.5))


def _add(run: BenchRun, what: str, samples: Mapping[str, Samples], goal: Goal) -> Iterator[Figure]:
    direct = samples[_DIRECT]
    for name, title in ((_SPLICED, "without being read"), (_BROKER, "through the broker")):
        pairs = zip(direct.values, samples[name].values, strict=False)
        yield estimated(
            estimate([(through - one) * 1e3 for one, through in pairs]),
            what=f"{what}, {title}: adds to direct",
            pair=run.pairs[0].name,
            unit="ms",
            goal=goal if name == _BROKER else None,
            behind={"direct ms": direct.median * 1e3, "through ms": samples[name].median * 1e3},
        )


def _measure_large(run: BenchRun, ways: Mapping[str, Way]) -> Iterator[Figure]:
    size = run.plan.size // 2
    with contextlib.ExitStack() as stack:
        clients = {name: stack.enter_context(closing(way.connect())) for name, way in ways.items()}
        measured: tuple[tuple[str, Mapping[str, Callable[[], float]], Goal], ...] = (
            ("down", {n: partial(c.ask, size) for n, c in clients.items()}, at_least(0.5)),
            ("up", {n: partial(c.send, size) for n, c in clients.items()}, at_least(0.6)),
        )
        for title, variants, goal in measured:
            samples = interleave(
                variants, rounds=min(run.plan.transfers, 5), warm_up=0, budget_s=15.0
            )
            for name, way in ((_SPLICED, "without being read"), (_BROKER, "through the broker")):
                yield estimated(
                    ratio(samples[name], samples[_DIRECT]),
                    what=f"{size // MIB:,} MiB {title}, {way}: share of the direct throughput",
                    pair=run.pairs[0].name,
                    unit="times",
                    goal=goal if name == _BROKER else None,
                    behind={
                        "direct MB/s": size / 1e6 / samples[_DIRECT].median,
                        "through MB/s": size / 1e6 / samples[name].median,
                    },
                )


def _measure_beside(
    run: BenchRun, ways: Mapping[str, Way], other: int, daemon: int, folder: Path
) -> Iterator[Figure]:
    """Yield a small request's cost while other clients download, and the worker's memory then."""
    way = ways[_BROKER]
    quiet = Way(port=other, broker=way.broker, authorities=way.authorities, token=way.token)
    direct = Way(port=other, broker=None, authorities=ways[_DIRECT].authorities, token=_TOKEN)
    width = 50 if not run.plan.is_quick else run.plan.width
    with closing(quiet.connect()) as client, closing(direct.connect()) as beside:
        client.ask()
        with loading(way, folder, count=width):
            worker = _find_worker(daemon)
            samples = interleave(
                {_DIRECT: beside.ask, _BROKER: client.ask},
                rounds=run.plan.calls // 2,
                warm_up=2,
                budget_s=20.0,
            )
            memory = [*_measure_memory(run, daemon, f"beside {width} downloads", None)]
            spent = cpu_seconds(worker)
    waited = samples[_BROKER]
    yield Figure(
        what=f"a small request through the broker beside {width} downloads: 95th percentile",
        pair=run.pairs[0].name,
        unit="ms",
        value=waited.quantile(0.95) * 1e3,
        n=len(waited.values),
        goal=at_most(50),
        behind={
            "median ms": waited.median * 1e3,
            "direct 95th ms": samples[_DIRECT].quantile(0.95) * 1e3,
            "longest ms": max(waited.values) * 1e3,
            "worker's CPU s": spent,
        },
    )
    yield from memory


def _measure_memory(run: BenchRun, daemon: int, when: str, goal: Goal | None) -> Iterator[Figure]:
    # A worker is not dumpable, so only root can read it.
    if os.geteuid() == 0:
        yield Figure(
            what=f"the worker's memory (PSS) {when}",
            pair=run.pairs[0].name,
            unit="MB",
            value=shared_memory(_find_worker(daemon)) / 1e6,
            n=1,
            goal=goal,
        )


def _find_worker(daemon: int) -> int:
    """Return the process that gets the agent's connections: a child of the forking one."""
    for pid, _ in list_descendants(daemon):
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        children = list_descendants(pid)
        if b"airlock_daemon.boundary.brokers.https" in words and children:
            return children[-1][0]
    raise BenchError("the daemon has no worker of the HTTPS broker")
