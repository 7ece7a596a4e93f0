"""``./dev mac-check``: its report, with programs whose answers are known."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tasks.environment import Environment
from tasks.mac_check import list_steps, write_report
from tasks.places import ROOT

ANSWERS = {
    ("sw_vers", "-productVersion"): (0, "15.6.1\n"),
    ("diskutil", "info", "/"): (0, "   Name: x\n   File System Personality:   APFS\n"),
    ("good",): (0, f"ok: peer\nsee {ROOT}/dev\nand {Path.home()}/.pyenv\n"),
    ("bad",): (1, "".join(f"line {number}\n" for number in range(100))),
}


def answer(words: Sequence[str]) -> tuple[int, str]:
    return ANSWERS.get(tuple(words), (127, "not installed"))


def test_a_report_has_the_versions_and_what_each_step_printed() -> None:
    """And not where the checkout and the home are."""
    report, is_good = write_report([("calls", ("good",))], answer)
    assert is_good
    assert "| macOS | 15.6.1 |" in report
    assert "| file system of / | APFS |" in report
    assert "| docker | not known |" in report
    assert (
        "**calls: passed**\n\n```text\nok: peer\nsee CHECKOUT/dev\nand HOME/.pyenv\n```" in report
    )
    assert str(ROOT) not in report
    assert report.endswith("Nothing failed.")


def test_a_failed_step_is_named_with_its_last_lines() -> None:
    """And the others still run."""
    report, is_good = write_report([("worse", ("bad",)), ("calls", ("good",))], answer)
    assert not is_good
    assert "line 99" in report
    assert "line 39\n" not in report
    assert "**calls: passed**" in report
    assert report.endswith("Failed: worse")


def test_where_the_home_leads_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the user as well as a symlink to it."""
    home = tmp_path / "home"
    (tmp_path / "disk").mkdir()
    home.symlink_to("disk")
    monkeypatch.setenv("HOME", str(home))
    report, _ = write_report([("calls", ("say",))], lambda _: (0, f"{home}/a {home.resolve()}/b"))
    assert "\nHOME/a HOME/b\n" in report


def test_a_step_without_an_engine_has_not_failed() -> None:
    """The report says what it needs."""
    report, is_good = write_report([("a bridge", ())], answer)
    assert is_good
    assert "**a bridge: needs an engine**" in report


def test_the_quick_check_tries_the_systems_calls_alone(tmp_path: Path) -> None:
    """They take seconds; the whole check also runs tests, and a bridge where an engine runs."""
    environment = Environment("default", tmp_path)
    for has_engine in (False, True):
        quick = list_steps(environment, is_quick=True, has_engine=has_engine)
        assert [name for name, _ in quick] == ["the system's calls"]
        whole = list_steps(environment, is_quick=False, has_engine=has_engine)
        assert [bool(words) for _, words in whole] == [True, True, True, has_engine]
