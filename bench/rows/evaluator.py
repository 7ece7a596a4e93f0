"""The evaluator's time for typical requests, and its growth with the arguments.

It runs in this process; there is no direct run to compare with.
"""

import time
from collections.abc import Iterator, Sequence
from functools import partial

from airlock_modules import Grant, builtin_names, evaluate, load_builtin
from bench.bench_run import BenchRun
from bench.figures import Figure, at_most, estimated
from bench.interleaving import interleave
from bench.samples import estimate, ratio

_OURS = "airlock"

_TYPICAL: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("git", ("status",)),
    ("git", ("push", "-u", "origin", "main")),
    ("git", ("commit", "-am", "Say what mapping a directory grants")),
    ("git", ("log", "--oneline", "--graph", "-20", "main..HEAD", "--", "src")),
    ("ssh", ("-p", "2222", "deploy@build-1.example.com", "uptime")),
    ("docker", ("run", "--rm", "-it", "-e", "A=b", "alpine:3.20", "sh", "-c", "true")),
)

_FEW, _MANY = 100, 10_000

_ROUNDS, _QUICK_ROUNDS = 15, 3

_GIT, _GROWTH = at_most(100), at_most(1.5)


def measure_evaluator(run: BenchRun) -> Iterator[Figure]:
    """Yield the time of one decision in microseconds, and its growth as a ratio."""
    rounds = _QUICK_ROUNDS if run.plan.is_quick else _ROUNDS
    modules = {name: load_builtin(name) for name in builtin_names()}
    grant = Grant(ceiling=tuple(modules), commands=(), modules=modules)
    for command, args in _TYPICAL:
        found = estimate([_time(grant, command, args, calls=200) for _ in range(rounds)])
        yield estimated(
            found,
            what=f"evaluator: `{command} {' '.join(args)}`",
            pair=_OURS,
            unit="µs",
            goal=_GIT if command == "git" else None,
        )
    taken = interleave(
        {str(count): partial(_time_each, grant, count) for count in (_FEW, _MANY)}, rounds=rounds
    )
    few, many = taken[str(_FEW)], taken[str(_MANY)]
    growth = ratio(few, many)
    yield estimated(
        growth,
        what=f"evaluator: time for each of {_MANY:,} arguments over that for each of {_FEW}",
        pair=_OURS,
        unit="times",
        goal=_GROWTH,
        behind={f"each of {_FEW} µs": few.median, f"each of {_MANY:,} µs": many.median},
    )


def _time_each(grant: Grant, count: int) -> float:
    """Return the microseconds per argument for `count` arguments."""
    args = ("add", "--", *(f"src/file-{number}.py" for number in range(count)))
    return _time(grant, "git", args, calls=_MANY // count) / count


def _time(grant: Grant, command: str, args: Sequence[str], *, calls: int) -> float:
    """Return the microseconds of one decision, averaged over `calls`."""
    started = time.perf_counter()
    for _ in range(calls):
        evaluate(grant, command, args)
    return (time.perf_counter() - started) / calls * 1e6
