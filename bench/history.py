"""Earlier runs, one line of JSON each, and finding figures that have moved since."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bench.errors import BenchError
from bench.figures import Figure, Unit
from bench.machine import Machine
from bench.table import Report

HISTORY = Path(__file__).with_name("history.jsonl")
"""The recorded runs, oldest first."""

EARLIER = 5
"""Maximum number of earlier runs that a figure is compared with."""

ENOUGH = 3
"""Minimum number of them, if the figure has no interval."""


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One figure of a run, as in `Figure`; its goal is only the value."""

    value: float
    unit: Unit
    low: float | None = None
    high: float | None = None
    goal: float | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `commit` ends in `+` if the tree had changes; `figures` are by pair, then row."""

    date: str
    commit: str
    machine: Machine
    load: tuple[float, float]
    figures: Mapping[str, Mapping[str, Value]]


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A figure outside the range of `runs` earlier ones and their intervals."""

    what: str
    pair: str
    unit: Unit
    before: tuple[float, float]
    """The lowest and the highest earlier value."""
    now: float
    runs: int


def make_run(report: Report, commit: str) -> Run:
    """Return a report's run; figures not measured or with a fault are omitted."""
    figures: dict[str, dict[str, Value]] = {}
    for figure in report.figures:
        if figure.value is not None and not figure.fault:
            figures.setdefault(figure.pair, {})[figure.what] = _make_value(figure, figure.value)
    return Run(
        date=report.date,
        commit=commit,
        machine=report.machine,
        load=report.load,
        figures=figures,
    )


def read_history(path: Path) -> list[Run]:
    """Read the runs; none without the file. Raises BenchError for an invalid line."""
    runs = []
    lines = path.read_bytes().splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            runs.append(msgspec.json.decode(line, type=Run))
        except msgspec.MsgspecError as error:
            raise BenchError(f"{path}:{number} is no run: {error}; remove that line") from error
    return runs


def append_run(run: Run, path: Path) -> None:
    """Append a run."""
    with path.open("ab") as file:
        file.write(msgspec.json.encode(run) + b"\n")


def find_moves(run: Run, history: Sequence[Run]) -> list[Move]:
    """Return the figures that moved by more than their noise.

    The noise is the range of the last runs on the same kind of machine, from the lowest end of
    their intervals to the highest. A figure has moved if its own interval is outside that range and
    there are enough runs.
    """
    alike = [each.figures for each in history if each.machine == run.machine][-EARLIER:]
    moves = []
    for pair, figures in run.figures.items():
        for what, found in figures.items():
            before = [each[pair][what] for each in alike if what in each.get(pair, ())]
            if len(before) < (ENOUGH if found.low is None else 1):
                continue
            low, high = min(map(_low, before)), max(map(_high, before))
            if _high(found) < low or _low(found) > high:
                moves.append(
                    Move(
                        what=what,
                        pair=pair,
                        unit=found.unit,
                        before=(low, high),
                        now=found.value,
                        runs=len(before),
                    )
                )
    return moves


def find_commit(root: Path) -> str:
    """Return the short commit of a checkout, with a `+` if it has changes; "" without git."""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _make_value(figure: Figure, value: float) -> Value:
    goal = None if figure.goal is None else figure.goal.value
    return Value(value=value, unit=figure.unit, low=figure.low, high=figure.high, goal=goal)


def _low(found: Value) -> float:
    return found.value if found.low is None else found.low


def _high(found: Value) -> float:
    return found.value if found.high is None else found.high
