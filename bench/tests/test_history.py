"""What is kept of earlier runs, and what is said of a figure beside them."""

from pathlib import Path

import msgspec
import pytest
from bench.__main__ import HISTORY_PAGE
from bench.chart import write_moves, write_page
from bench.errors import BenchError
from bench.figures import Figure, at_most, fail
from bench.history import (
    HISTORY,
    Run,
    append_run,
    find_moves,
    make_run,
    read_history,
)
from bench.machine import Machine, describe_machine
from bench.table import Report


def _run(
    value: float, *, reach: float | None = 0.1, machine: Machine | None = None, fault: str = ""
) -> Run:
    low, high = (None, None) if reach is None else (value - reach, value + reach)
    figure = Figure(
        what="`true`",
        pair="airlock",
        unit="times",
        value=value,
        low=low,
        high=high,
        n=9,
        goal=at_most(1.25),
        fault=fault,
    )
    report = Report(
        date="2026-01-31",
        machine=machine or describe_machine(),
        load=(0.1, 0.2),
        seconds=60,
        is_quick=False,
        figures=(figure, fail("git", "airlock", "ms", "no git here")),
    )
    return make_run(report, "0123abc")


def test_runs_are_kept_in_order(tmp_path: Path) -> None:
    """What was appended is read back; a file that is not there has no runs."""
    path = tmp_path / "history.jsonl"
    assert read_history(path) == []
    runs = [_run(1.0), _run(2.0)]
    for run in runs:
        append_run(run, path)
    assert read_history(path) == runs


def test_a_line_that_is_no_run_is_named(tmp_path: Path) -> None:
    """With its number, and nothing is guessed."""
    path = tmp_path / "history.jsonl"
    append_run(_run(1.0), path)
    path.write_bytes(path.read_bytes() + b"{}\n")
    with pytest.raises(BenchError, match=r"history\.jsonl:2 is no run"):
        read_history(path)


def test_what_was_not_measured_is_not_kept() -> None:
    """A figure without a value, or with a fault, says nothing about the next one."""
    assert list(_run(1.0).figures["airlock"]) == ["`true`"]
    assert _run(1.0, fault="3 of 9 failed").figures == {}


@pytest.mark.parametrize(
    ("before", "now", "moved"),
    [
        ([], 9.0, False),
        ([1.0], 1.15, False),
        ([1.0], 1.25, True),
        ([1.0], 0.75, True),
        ([1.0, 1.4], 1.25, False),
        ([9.0, 1.0, 1.0, 1.0, 1.0, 1.0], 9.0, True),
    ],
)
def test_a_figure_moves_beyond_its_noise(before: list[float], now: float, *, moved: bool) -> None:
    """Which is what the last five runs and their intervals reach."""
    moves = find_moves(_run(now), [_run(value) for value in before])
    assert bool(moves) == moved
    assert ("No figure moved" in write_moves(moves)) != moved


def test_one_run_says_little_of_a_figure_without_an_interval() -> None:
    """A percentile is compared once three runs show how far it goes by itself."""
    runs = [_run(value, reach=None) for value in (1.0, 1.1, 1.2)]
    now = _run(1.3, reach=None)
    assert not find_moves(now, runs[:2])
    (move,) = find_moves(now, runs)
    assert "| 1.00 times to 1.20 times in 3 runs | 1.30 times |" in write_moves([move])


def test_other_machines_are_no_measure() -> None:
    """A faster processor is no faster Airlock."""
    other = msgspec.structs.replace(describe_machine(), processor="another")
    assert not find_moves(_run(2.0), [_run(1.0, machine=other)])


def test_each_machine_has_tables_of_its_own() -> None:
    """A line for a figure with a goal, and a column for a run."""
    other = msgspec.structs.replace(describe_machine(), processor="another")
    page = write_page([_run(1.0), _run(3.0, machine=other), _run(2.0)])
    assert page.count("| figure | goal | 1 |") == 2
    assert "| figure | goal | 1 | 2 |\n" in page
    assert " 1.25 times | 1 | 2 |\n" in page


def test_the_page_is_that_of_the_history() -> None:
    """`./dev bench history` draws it."""
    assert HISTORY_PAGE.read_text() == write_page(read_history(HISTORY))
