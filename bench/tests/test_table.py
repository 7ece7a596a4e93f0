"""The report of the measurements."""

from pathlib import Path

import msgspec
import pytest
from bench.errors import BenchError
from bench.figures import Figure, at_least, at_most, fail
from bench.machine import describe_machine
from bench.table import BEGIN, END, Report, save_report, save_table, write_table


def _report(*figures: Figure, failures: tuple[str, ...] = ()) -> Report:
    return Report(
        date="2026-01-31",
        machine=describe_machine(),
        load=(0.1, 0.2),
        seconds=60,
        is_quick=False,
        figures=figures,
        failures=failures,
    )


def _figure(pair: str, value: float, *, fault: str = "") -> Figure:
    return Figure(
        what="`true` | more",
        pair=pair,
        unit="times",
        value=value,
        low=value / 2,
        high=value * 2,
        n=400,
        goal=at_most(0.9),
        behind={"direct ms": 0.5},
        fault=fault,
    )


def test_pairs_stand_side_by_side() -> None:
    """Each pair has its column, and each figure says whether it reaches the goal."""
    text = write_table(_report(_figure("airlock", 0.8), _figure("other", 1.234)))
    assert "| what | goal | airlock | other |" in text
    assert (
        "| `true` \\| more | at most 0.90 times | **0.80 times** (0.40 to 1.60), met "
        "| **1.23 times** (0.62 to 2.47), missed |"
    ) in text
    assert "| `true` \\| more | other | 400 | direct ms 0.50 |  |" in text


def test_fault_is_a_miss_whatever_the_value() -> None:
    """A good value of calls that failed does not reach the goal, and the table says why."""
    text = write_table(_report(_figure("airlock", 0.1, fault="3 of 9 failed")))
    assert "missed (see below)" in text
    assert "| direct ms 0.50 | 3 of 9 failed |" in text


def test_what_was_not_measured_is_no_zero() -> None:
    """A row without a value says so, with the reason."""
    text = write_table(_report(fail("git", "airlock", "ms", "no git here", goal=at_least(1))))
    assert "| git | at least 1.00 ms | not measured (see below) |" in text
    assert "no git here" in text


def test_broken_off_rows_are_named() -> None:
    """Rows that came to a sudden end are not missing silently."""
    assert "- Not measured to the end: burst: x" in write_table(_report(failures=("burst: x",)))


def test_table_replaces_the_one_between_the_marks(tmp_path: Path) -> None:
    """What a person wrote around the table stays."""
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nMore.\n")
    save_table("new\n", page)
    assert page.read_text() == f"# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nMore.\n"


def test_half_a_pair_of_marks_is_an_error(tmp_path: Path) -> None:
    """A page that lost a mark is left as it is."""
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n{BEGIN}\nold\n")
    with pytest.raises(BenchError, match="missing"):
        save_table("new\n", page)
    assert "old" in page.read_text()


def test_json_has_everything(tmp_path: Path) -> None:
    """What is written as JSON is read back as the same report."""
    report = _report(_figure("airlock", 0.8), _figure("other", 1.5, fault="no"))
    save_report(report, tmp_path / "report.json")
    assert msgspec.json.decode((tmp_path / "report.json").read_bytes(), type=Report) == report
