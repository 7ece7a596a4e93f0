"""The time of conversations with a remote through the git broker, and by plain git."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from e2e.world.errors import BrokenError

from bench.bench_run import BenchRun
from bench.calls import Caller
from bench.deployment import start_daemon
from bench.figures import Figure, Goal, Unit, at_most, estimated, fail
from bench.interleaving import interleave
from bench.pairs import Pair
from bench.remotes import Repository, Side
from bench.samples import Samples, estimate, ratio
from bench.setup_files import TIMED, Places
from bench.transports import SERVERS, Transport

_PLAIN = "plain"
_LONG: tuple[Unit, Goal] = ("times", at_most(1.05))
_TITLES: Mapping[Unit, str] = {"ms": "git-remote adds", "times": "over plain git's time"}
_FEW = 10

Conversation = Callable[[Side, Caller], float]
"""Runs one and returns its seconds."""


def measure_remote(run: BenchRun) -> Iterator[Figure]:
    """Yield what the broker adds to conversations over each transport, for each pair.

    Short ones in the transport's unit, long ones as a multiple of plain git's.
    """
    for name, serve in SERVERS.items():
        folder = run.data / f"remote-{name}"
        folder.mkdir()
        with serve(folder) as transport:
            yield from _measure_transport(run, transport, folder)


def _measure_transport(run: BenchRun, transport: Transport, folder: Path) -> Iterator[Figure]:
    few, many = (Repository(folder / f"history-{n}.git") for n in (_FEW, run.plan.commits))
    few.grow(_FEW)
    many.grow(run.plan.commits)
    names = {few: f"{_FEW} commits", many: f"{run.plan.commits:,} commits"}
    short: dict[str, Conversation] = {
        f"`git push` of one commit, {names[few]} there": _Push(few, folder / "few").carry_out,
        f"`git push` of one commit, {names[many]} there": _Push(many, folder / "many").carry_out,
        "`git ls-remote`": partial(_list, few),
    }
    long: dict[str, Conversation] = {
        f"`git clone` of {names[many]}": partial(_clone, many, folder / "clone"),
        f"first `git push` of {names[many]}": partial(_push_all, many, folder / "first.git"),
    }
    with contextlib.ExitStack() as stack:
        sides = {_PLAIN: Side(transport, folder / "plain.home", transport.plain)}
        faults = {}
        for pair in run.pairs:
            try:
                more = stack.enter_context(_serve(run, pair, folder / pair.name, transport))
                sides[pair.name] = Side(transport, folder / f"{pair.name}.home", more)
            except BrokenError as error:
                faults[pair.name] = str(error)
        caller = stack.enter_context(run.caller())
        for what, talk in short.items():
            samples = _interleave(run, sides, talk, caller, rounds=run.plan.pushes)
            title = f"{what}, over {transport.name}"
            yield from _compare(run, title, transport.adds, samples, faults)
        for what, talk in long.items():
            samples = _interleave(run, sides, talk, caller, rounds=run.plan.clones)
            title = f"{what}, over {transport.name}"
            yield from _compare(run, title, _LONG, samples, faults)


class _Push:
    """Pushes of one new commit each, to a branch of each side's own copy."""

    def __init__(self, repository: Repository, remotes: Path) -> None:
        self._repository = repository
        self._remotes = remotes
        self._last: dict[Side, str] = {}
        remotes.mkdir()

    def carry_out(self, side: Side, caller: Caller) -> float:
        remote = self._remotes / f"{id(side)}.git"
        if side not in self._last:
            self._repository.copy(remote)
            self._last[side] = self._repository.git("rev-parse", "main")
        self._last[side] = commit = self._repository.commit_on(self._last[side], str(remote))
        words = ("push", "--quiet", side.url(remote), f"{commit}:refs/heads/timed")
        return caller.time(side.call(self._repository, *words))


def _list(repository: Repository, side: Side, caller: Caller) -> float:
    return caller.time(side.call(repository, "ls-remote", side.url(repository.path)))


def _clone(repository: Repository, target: Path, side: Side, caller: Caller) -> float:
    words = ("clone", "--quiet", "--bare", side.url(repository.path), str(target))
    try:
        return caller.time(side.call(repository, *words))
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _push_all(repository: Repository, remote: Path, side: Side, caller: Caller) -> float:
    Repository(remote)
    words = ("push", "--quiet", side.url(remote), "main:refs/heads/main")
    try:
        return caller.time(side.call(repository, *words))
    finally:
        shutil.rmtree(remote)


def _interleave(
    run: BenchRun, sides: Mapping[str, Side], talk: Conversation, caller: Caller, *, rounds: int
) -> dict[str, Samples]:
    variants = {name: partial(talk, side, caller) for name, side in sides.items()}
    return interleave(variants, rounds=rounds, budget_s=run.plan.budget_s / 4)


@contextlib.contextmanager
def _serve(
    run: BenchRun, pair: Pair, root: Path, transport: Transport
) -> Iterator[Mapping[str, str]]:
    """Start a daemon that grants the server; yields the variables of the client's git."""
    places = Places(root, work=run.work, shim=pair.shim)
    shim = places.links / "git-remote"
    shim.symlink_to(pair.shim)
    places.enable(["git-remote"])
    places.add_agent(TIMED, profile=transport.profile)
    with start_daemon(pair, places, patience_s=run.plan.patience_s):
        yield {**transport.through(shim), "AIRLOCK_SOCKET": str(places.socket(TIMED))}


def _compare(
    run: BenchRun,
    title: str,
    adds: tuple[Unit, Goal],
    samples: Mapping[str, Samples],
    faults: Mapping[str, str],
) -> Iterator[Figure]:
    plain = samples[_PLAIN]
    unit, goal = adds
    what = f"{title}: {_TITLES[unit]}"
    for pair in run.pairs:
        if pair.name in faults:
            yield fail(what, pair.name, unit, faults[pair.name], goal=goal)
            continue
        through = samples[pair.name]
        pairs = zip(plain.values, through.values, strict=False)
        added = estimate([(other - one) * 1e3 for one, other in pairs])
        yield estimated(
            added if unit == "ms" else ratio(plain, through),
            what=what,
            pair=pair.name,
            unit=unit,
            goal=goal,
            behind={"plain ms": plain.median * 1e3, "through ms": through.median * 1e3},
        )
