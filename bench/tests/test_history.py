"""What is kept of earlier runs, and what is said of a figure beside them."""

import pytest
from bench.__main__ import HISTORY_PAGE
from bench.chart import write_moves, write_page
from bench.figures import Figure, at_most, fail
from bench.history import (
    HISTORY,
    Run,
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


def test_the_page_is_that_of_the_history() -> None:
    """`./dev bench history` draws it."""
    assert HISTORY_PAGE.read_text() == write_page(read_history(HISTORY))
