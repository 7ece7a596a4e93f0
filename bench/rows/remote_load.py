"""What one agent's large push does to the daemon, and to what another agent waits for."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from os import urandom
from pathlib import Path

from e2e.world.errors import BrokenError
from e2e.world.process_status import forget_peak, peak_memory, resident_memory

from bench.bench_run import BenchRun
from bench.calls import Call, Caller
from bench.deployment import Deployment, start_daemon
from bench.errors import BenchError
from bench.figures import Figure, at_most, fail
from bench.pairs import Pair
from bench.plan import MIB
from bench.processors import starting_on
from bench.remotes import Repository, Side
from bench.samples import Samples
from bench.setup_files import CROWD, PROGRAMS, Form, Places
from bench.transports import Transport

_WORST, _GROWTH = at_most(2.5), at_most(8)
_PIECE = 16 * MIB


def measure_load(
    run: BenchRun, transport: Transport, folder: Path, *, on: frozenset[int] | None = None
) -> Iterator[Figure]:
    """Yield by how much a push of `plan.push_size` bytes grows the daemon, and others' p99.

    That is compared with theirs alone, and with theirs beside the same push by plain git, of which
    the daemon knows nothing: the rest is what the push itself takes of the machine. With `on` the
    git that pushes has these processors alone, as its server must have been started with; what
    others then wait for is Airlock's own.
    """
    bound = "" if on is None else ", whose git and server share one processor"
    size = f"{run.plan.push_size // MIB:,} MiB over {transport.name}{bound}"
    memory = f"a push of {size}: the daemon's memory grows by"
    others = f"`true` of another agent under a push of {size}: 99th percentile over that"
    titles = (memory, f"{others} alone", f"{others} under plain git's push")
    large = Repository(folder / "large.git")
    commit = large.commit_file(_write_noise(folder / "noise", run.plan.push_size))
    for pair in run.pairs:
        try:
            yield from _measure(run, pair, transport, folder, large, commit, titles, on)
        except (BrokenError, BenchError) as error:
            fault = str(error).splitlines()[0]
            if on is None:
                yield fail(memory, pair.name, "MiB", fault, goal=_GROWTH)
            for what in titles[1:]:
                yield fail(what, pair.name, "times", fault, goal=_WORST)


def _measure(
    run: BenchRun,
    pair: Pair,
    transport: Transport,
    folder: Path,
    large: Repository,
    commit: str,
    titles: tuple[str, str, str],
    on: frozenset[int] | None,
) -> Iterator[Figure]:
    places = Places(folder / f"load-{pair.name}", work=run.work, shim=pair.shim)
    places.write(Form(passes=None, mounts=True))
    places.enable([*PROGRAMS, "git", "git-remote"])
    places.add_agent(CROWD, profile=transport.profile)
    shim = places.links / "git-remote"
    shim.symlink_to(pair.shim)
    variables = {**transport.through(shim), "AIRLOCK_SOCKET": str(places.socket(CROWD))}
    sides: Mapping[str, Side] = {
        "plain": Side(transport, folder / f"load-{pair.name}.plain", transport.plain),
        "through": Side(transport, folder / f"load-{pair.name}.through", variables),
    }
    seconds: dict[str, list[float]] = {"alone": [], "plain": [], "through": []}
    grown = 0
    with (
        start_daemon(pair, places, patience_s=run.plan.patience_s) as daemon,
        run.caller() as caller,
    ):
        call = Deployment(pair, places, daemon).call("true")
        # What the first of its kind takes for good is no growth.
        small = large.git("commit-tree", large.git("mktree"), "-m", "small")
        _push_beside(sides["through"], large, small, folder / "small.git", call, caller, run, on)
        for _ in range(run.plan.blocks):
            seconds["alone"] += [caller.time(call) for _ in range(run.plan.block_calls // 2)]
            for name, side in sides.items():
                before = resident_memory(daemon.pid)
                forget_peak(daemon.pid)
                seconds[name] += _push_beside(
                    side, large, commit, folder / "pushed.git", call, caller, run, on
                )
                if name == "through":
                    grown = max(grown, peak_memory(daemon.pid) - before)
            if sum(seconds["through"]) > run.plan.budget_s / 4:
                break
        rests = resident_memory(daemon.pid)
    if on is None:
        yield Figure(
            what=titles[0],
            pair=pair.name,
            unit="MiB",
            value=grown / MIB,
            n=1,
            goal=_GROWTH,
            behind={"daemon at rest MiB": rests / MIB},
        )
    worst = {name: Samples(tuple(taken)).quantile(0.99) for name, taken in seconds.items()}
    for title, compared in zip(titles[1:], ("alone", "plain"), strict=True):
        yield Figure(
            what=title,
            pair=pair.name,
            unit="times",
            value=worst["through"] / worst[compared],
            n=len(seconds["through"]),
            goal=_WORST,
            behind={
                "alone p99 ms": worst["alone"] * 1e3,
                "under it p99 ms": worst["through"] * 1e3,
                "under plain git's p99 ms": worst["plain"] * 1e3,
            },
        )


def _push_beside(
    side: Side,
    large: Repository,
    commit: str,
    remote: Path,
    call: Call,
    caller: Caller,
    run: BenchRun,
    on: frozenset[int] | None,
) -> list[float]:
    """Push to a new remote, and time calls one after the other until that has ended."""
    if remote.exists():
        # git would find everything there, and push nothing.
        shutil.rmtree(remote)
    Repository(remote).git("config", "receive.unpackLimit", "1")
    push = side.call(large, "push", "--quiet", side.url(remote), f"{commit}:refs/heads/large")
    seconds = []
    with starting_on(on):
        process = subprocess.Popen(
            push.argv, env=push.environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
    with process:
        while process.poll() is None:
            seconds.append(caller.time(call))
            if sum(seconds) > run.plan.patience_s:
                process.kill()
        assert process.stderr is not None
        said = process.stderr.read().decode(errors="replace")
    if process.returncode:
        raise BenchError(f"git push of {commit} ended with {process.returncode}: {said}")
    return seconds


def _write_noise(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        for at in range(0, size, _PIECE):
            file.write(urandom(min(_PIECE, size - at)))
    return path
