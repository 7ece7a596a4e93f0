"""The summary at the end of a run."""

from pathlib import Path

import pytest
from tasks.report import Outcome, print_summary, read_counts

REPORT = """<?xml version="1.0"?>
<testsuites><testsuite name="pytest">
<testcase name="a"/>
<testcase name="b"><failure message="no">trace</failure></testcase>
<testcase name="c"><error message="no">trace</error></testcase>
<testcase name="d"><skipped type="pytest.skip" message="no qemu">place</skipped></testcase>
<testcase name="e"><skipped type="pytest.xfail" message="known">place</skipped></testcase>
</testsuite></testsuites>
"""


def test_counts_come_from_the_report(tmp_path: Path) -> None:
    """Passed, failed and skipped tests are counted, an expected failure as none of them."""
    report = tmp_path / "unit.xml"
    report.write_text(REPORT)
    counts = read_counts(report)
    assert counts is not None
    assert str(counts) == "1 passed, 2 failed, 1 skipped"
    assert counts.skips == ("no qemu",)


@pytest.mark.parametrize("text", [None, "", "<testsuites>"])
def test_no_report_is_no_count(tmp_path: Path, text: str | None) -> None:
    """A report that is missing or was cut off is not taken for an empty one."""
    report = tmp_path / "unit.xml"
    if text is not None:
        report.write_text(text)
    assert read_counts(report) is None


def test_summary_names_failures_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    """One failed part makes the status 1; skipped tests are counted by their reason."""
    outcomes = [
        Outcome("unit", "failed", "3 passed, 1 failed", ("no qemu", "no qemu")),
        Outcome("e2e", "skipped", "no Docker engine answers"),
    ]
    assert print_summary("./dev test", outcomes) == 1
    printed = capsys.readouterr().out
    assert "e2e   skipped  no Docker engine answers" in printed
    assert "2 x no qemu" in printed
    assert printed.endswith("Failed: unit\n")


def test_skipped_part_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """A part that could not run does not make the status bad by itself."""
    assert print_summary("./dev test", [Outcome("e2e", "skipped", "no engine")]) == 0
