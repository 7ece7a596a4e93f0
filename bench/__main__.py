"""The command line of the measurements."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

import msgspec

from bench.bench_run import BenchRun
from bench.errors import BenchError
from bench.figures import Figure
from bench.machine import describe_machine, load_average
from bench.pairs import Pair, find_own, make_floor, make_pair
from bench.plan import FULL, MIB, QUICK, Plan
from bench.rows.box import measure_box
from bench.rows.bridge import measure_bridge
from bench.rows.burst import measure_burst
from bench.rows.crowding import measure_crowding
from bench.rows.daemon import measure_daemon
from bench.rows.engine import measure_engine
from bench.rows.evaluator import measure_evaluator
from bench.rows.https import measure_https
from bench.rows.latency import measure_latency
from bench.rows.memory import measure_memory
from bench.rows.push import measure_push
from bench.rows.remote import measure_remote
from bench.rows.shim import measure_shim
from bench.rows.throughput import measure_throughput
from bench.rows.tools import measure_tools
from bench.table import Report, save_report, save_table, write_table
from bench.timeline import write_profile

FAMILIES: Mapping[str, Callable[[BenchRun], Iterator[Figure]]] = {
    "latency": measure_latency,
    "box": measure_box,
    "tools": measure_tools,
    "throughput": measure_throughput,
    "memory": measure_memory,
    "burst": measure_burst,
    "remote": measure_remote,
    "push": measure_push,
    "https": measure_https,
    "engine": measure_engine,
    "bridge": measure_bridge,
    "crowding": measure_crowding,
    "daemon": measure_daemon,
    "shim": measure_shim,
    "evaluator": measure_evaluator,
}
"""The families of rows, in the order of the table."""

_PROFILE = "profile"


def main(words: Sequence[str]) -> int:
    """Measure and report; the exit status is 0, or 1 if something could not be measured.

    A missed goal is no failure: the machine may have been busy, and the table shows it.
    """
    options = _parse(words)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end_in_order)
    try:
        plan = _choose_plan(options)
        with tempfile.TemporaryDirectory(prefix="airlock-bench-") as name:
            folder = Path(name).resolve()
            run = BenchRun(_choose_pairs(options, folder), plan, folder)
            if options.rows == [_PROFILE]:
                print(write_profile(run), end="")
                return 0
            report = _measure(run, options.rows or list(FAMILIES))
        text = write_table(report)
        if options.json:
            save_report(report, options.json)
        if options.markdown:
            save_table(text, options.markdown)
        else:
            print(text, end="")
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 1 if report.failures or any(f.value is None for f in report.figures) else 0


def _measure(run: BenchRun, names: Sequence[str]) -> Report:
    started, before = time.monotonic(), load_average()
    figures: list[Figure] = []
    failures = []
    for name in names:
        begun = time.monotonic()
        print(f"bench: {name} ...", end=" ", file=sys.stderr, flush=True)
        try:
            # One by one, to keep the figures of a family that fails half way.
            for figure in FAMILIES[name](run):
                figures.append(figure)  # noqa: PERF402
        except BenchError as error:
            print(f"failed: {error}", file=sys.stderr)
            failures.append(f"{name}: {str(error).splitlines()[0]}")
        print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return Report(
        date=datetime.now(UTC).date().isoformat(),
        machine=describe_machine(),
        load=(before, load_average()),
        seconds=time.monotonic() - started,
        is_quick=run.plan.is_quick,
        figures=tuple(figures),
        failures=tuple(failures),
    )


# The floor only runs commands.
_OF_THE_FLOOR = {"burst", "latency", "shim"}


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        description="Measures what Airlock costs, beside the same commands run directly. "
        "Only the figures of one run can be compared with each other.",
        epilog="Relative paths begin at the top of the checkout. The method: docs/benchmarks.md.",
    )
    parser.add_argument(
        "rows",
        nargs="*",
        metavar="ROWS",
        help=f"what to measure: {', '.join(FAMILIES)} (default: all); "
        f"or {_PROFILE} alone: where one `true` spends its time",
    )
    parser.add_argument(
        "--daemon", metavar="EXE", help="another daemon, measured beside ours in the same loops"
    )
    parser.add_argument("--shim", metavar="EXE", help="the shim that belongs to it")
    parser.add_argument("--name", default="other", help="what the table calls the two (other)")
    parser.add_argument(
        "--floor",
        action="store_true",
        help="measure beside ours what no Python in its place could do without: a daemon that "
        "decides nothing (latency and burst)",
    )
    parser.add_argument("--size", type=int, metavar="MIB", help="of the large transfers (1024)")
    parser.add_argument(
        "--long",
        action="store_true",
        help="remote: more rounds; push: one as large as --size",
    )
    parser.add_argument("--quick", action="store_true", help="a smoke run; its figures say nothing")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="write the table there instead of to stdout; in docs/benchmarks.md between its marks",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there too")
    options = parser.parse_args(words)
    if unknown := set(options.rows) - set(FAMILIES) - {_PROFILE}:
        parser.error(f"no rows {', '.join(sorted(unknown))}; there are: {', '.join(FAMILIES)}")
    if len(options.rows) > 1 and _PROFILE in options.rows:
        parser.error(f"{_PROFILE} stands alone")
    if options.floor and (not options.rows or set(options.rows) - _OF_THE_FLOOR):
        parser.error(f"--floor goes with {', '.join(sorted(_OF_THE_FLOOR))}")
    if bool(options.daemon) != bool(options.shim):
        parser.error("--daemon and --shim go together")
    if options.size is not None and options.size < 1:
        parser.error("--size is a number of MiB, 1 at least")
    return options


def _choose_pairs(options: argparse.Namespace, folder: Path) -> tuple[Pair, ...]:
    pairs = [find_own()]
    if options.daemon is not None:
        pairs.append(make_pair(options.name, options.daemon, options.shim))
    if options.floor:
        pairs.append(make_floor(folder))
    return tuple(pairs)


def _choose_plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else FULL
    if options.size is not None:
        size = options.size * MIB
        plan = msgspec.structs.replace(plan, size=size, small_size=min(size, plan.small_size))
    if options.long:
        plan = msgspec.structs.replace(
            plan, pushes=2 * plan.pushes, clones=2 * plan.clones, push_size=plan.size
        )
    return plan


def _end_in_order(number: int, _frame: FrameType | None) -> NoReturn:
    # The exception stops everything that was started.
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
