"""How long the evaluator takes: typical requests, and how the time grows with the arguments.

Run with `./dev bench`. Times are medians of repeated runs in one process, each of many calls, on
whatever else the machine is doing; read the growth as a ratio.
"""

import statistics
import time
from collections.abc import Callable, Sequence

from airlock_modules import Grant, builtin_names, evaluate, load_builtin

TYPICAL: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("git", ("status",)),
    ("git", ("push", "-u", "origin", "main")),
    ("git", ("commit", "-am", "Say what mapping a directory grants")),
    ("git", ("log", "--oneline", "--graph", "-20", "main..HEAD", "--", "src")),
    ("terraform", ("plan", "-out=plan.out", "-var-file=prod.tfvars")),
    ("aws", ("s3", "cp", "build/app.zip", "s3://bucket/app.zip", "--acl", "private")),
    ("ssh", ("-p", "2222", "deploy@build-1.example.com", "uptime")),
    ("docker", ("run", "--rm", "-it", "-e", "A=b", "alpine:3.20", "sh", "-c", "true")),
)

COUNTS = (10, 100, 1000, 10_000)

ROUNDS = 15


def measure(call: Callable[[], object], *, calls: int) -> float:
    """Median time of one call in microseconds."""
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(calls):
            call()
        rounds.append((time.perf_counter() - started) / calls * 1e6)
    return statistics.median(rounds)


def run(command: str, args: Sequence[str], grant: Grant, *, calls: int) -> float:
    """Median time of one decision in microseconds."""
    return measure(lambda: evaluate(grant, command, args), calls=calls)


def main() -> None:
    """Print both tables in Markdown."""
    modules = {name: load_builtin(name) for name in builtin_names()}
    grant = Grant(ceiling=tuple(modules), commands=(), modules=modules)
    print("| request | microseconds |\n|---|---|")
    for command, args in TYPICAL:
        print(f"| `{command} {' '.join(args)}` | {run(command, args, grant, calls=200):.0f} |")
    print("\n| arguments of `git add` | microseconds | for each |\n|---|---|---|")
    for count in COUNTS:
        args = ("add", "--", *(f"src/file-{number}.py" for number in range(count)))
        taken = run("git", args, grant, calls=max(1, 2000 // count))
        print(f"| {count} | {taken:.0f} | {taken / count:.2f} |")


if __name__ == "__main__":
    main()
