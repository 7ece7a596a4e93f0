"""The page of the figures' history, as tables."""

from collections.abc import Sequence

from bench.history import Move, Run
from bench.machine import Machine
from bench.table import join_cells, open_table, with_unit

OWN = "airlock"
"""The pair that the page shows."""

HEAD = """\
# What Airlock cost, run by run

`./dev bench` adds a line to `bench/history.jsonl` and writes this page from it: a line for each
figure that has a goal, with a column for each run. Figures of different machines cannot be
compared, so each machine has tables of its own. A figure has *moved*, and the run says so, if
it lies outside of what the five runs before it, with their intervals, reach. What is measured
and how:
[benchmarks.md](benchmarks.md).
"""


def write_page(history: Sequence[Run]) -> str:
    """Return the page in Markdown; runs are given oldest first."""
    machines = list(dict.fromkeys(run.machine for run in history))
    parts = [HEAD]
    for machine in machines:
        runs = [run for run in history if run.machine == machine]
        parts.append(f"## {_name(machine)}\n")
        parts.append("\n".join(_list_runs(runs)) + "\n")
        parts.append("\n".join(_list_figures(runs)) + "\n")
    return "\n".join(parts)


def write_moves(moves: Sequence[Move]) -> str:
    """Return the moves as a table in Markdown, or a sentence that there are none."""
    if not moves:
        return "No figure moved by more than its noise, as far as earlier runs tell.\n"
    lines = open_table("moved", "of", "before", "now")
    for move in moves:
        low, high = (with_unit(value, move.unit) for value in move.before)
        before = f"{low} to {high} in {move.runs} runs" if move.runs > 1 else f"{low} to {high}"
        lines.append(join_cells(move.what, move.pair, before, with_unit(move.now, move.unit)))
    return "\n".join(lines) + "\n"


def _name(machine: Machine) -> str:
    return f"{machine.processor}, {machine.cpus} CPUs, {machine.kernel}, Python {machine.python}"


def _list_runs(runs: Sequence[Run]) -> list[str]:
    lines = open_table("run", "date", "commit", "load before and after")
    for number, run in enumerate(runs, 1):
        before, after = run.load
        lines.append(join_cells(str(number), run.date, run.commit, f"{before:.2f}, {after:.2f}"))
    return lines


def _list_rows(runs: Sequence[Run]) -> list[str]:
    """Return the rows with a goal, in the order of the newest run that has them."""
    found: dict[str, None] = {}
    for run in reversed(runs):
        for what, value in run.figures.get(OWN, {}).items():
            if value.goal is not None:
                found[what] = None
    return list(found)


def _list_figures(runs: Sequence[Run]) -> list[str]:
    numbers = [str(number) for number, _ in enumerate(runs, 1)]
    lines = open_table("figure", "goal", *numbers)
    for what in _list_rows(runs):
        found = [run.figures.get(OWN, {}).get(what) for run in runs]
        newest = next(value for value in reversed(found) if value is not None)
        shown = ["" if value is None else f"{value.value:.4g}" for value in found]
        goal = "" if newest.goal is None else with_unit(newest.goal, newest.unit)
        lines.append(join_cells(what, goal, *shown))
    return lines
