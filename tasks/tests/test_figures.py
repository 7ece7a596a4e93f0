"""Figures of the unit tests: how what is measured is counted."""

from pathlib import Path

import pytest
from tasks import figures
from tasks.errors import TaskError
from tasks.figures import _MUTATED, count_coverage, count_mutants, read_times
from tasks.places import ROOT

PACKAGE = ROOT / "packages" / "airlock-modules"


def test_what_is_changed_is_there_and_has_tests() -> None:
    """A module that was renamed would be changed by nobody."""
    for module, tests in _MUTATED.items():
        assert (PACKAGE / "src" / "airlock_modules" / module).is_file()
        assert (PACKAGE / "tests" / tests).exists()


def test_lines_and_branches_are_counted_by_package_and_folder() -> None:
    """A module beside the folders counts for its package alone."""

    def summary(lines: int, run: int) -> dict[str, object]:
        branches = {"num_branches": 2, "covered_branches": 1}
        return {"summary": {"num_statements": lines, "covered_lines": run, **branches}}

    counts = count_coverage(
        {
            "packages/x/src/x/room/deep/one.py": summary(10, 5),
            "packages/x/src/x/two.py": summary(4, 4),
            "packages/y/src/y/three.py": summary(1, 0),
        }
    )
    lines = {place: (each["lines run"], each["lines"]) for place, each in counts.items()}
    assert lines == {
        "x/room": (5, 10),
        "x": (4, 4),
        "x, all": (9, 14),
        "y": (0, 1),
        "y, all": (0, 1),
        "all": (9, 15),
    }
    assert (counts["all"]["branches run"], counts["all"]["branches"]) == (3, 6)


def test_mutants_are_counted_by_module() -> None:
    """Those of methods and functions alike, and nothing that mutmut says besides."""
    counts = count_mutants(
        [
            "Done",
            "    a.b.x_judge__mutmut_1: killed",
            "    a.b.xǁRuleǁfits__mutmut_2: survived",
            "    a.c.x_read__mutmut_1: no tests",
        ]
    )
    assert {name: dict(each) for name, each in counts.items()} == {
        "a.b": {"killed": 1, "survived": 1},
        "a.c": {"no tests": 1},
        "all": {"killed": 1, "survived": 1, "no tests": 1},
    }


def test_times_are_read_by_channel(tmp_path: Path) -> None:
    """Of what was installed, whether or not the upgrade ended; other tests have none."""
    report = tmp_path / "report.xml"
    properties = '<properties><property name="installed" value="3.1"/></properties>'
    report.write_text(
        f'<testsuite><testcase name="test_x[deb]">{properties}</testcase>'
        '<testcase name="test_y"/></testsuite>'
    )
    assert read_times(report) == {"deb": {"installed": "3.1"}}


def test_everything_is_measured_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One kind after the other; what cannot be measured does not keep the next from it."""

    def prepare(_: str) -> None:
        raise TaskError("no environment")

    monkeypatch.setattr(figures, "prepare_environment", prepare)
    monkeypatch.setattr(figures, "_measure_channels", lambda _: 0)
    assert figures.run_figures([]) == 1
    said = [line for line in capsys.readouterr().out.splitlines() if line]
    assert said == [
        "==> coverage",
        "coverage: no environment",
        "==> mutation",
        "mutation: no environment",
        "==> channels",
    ]
