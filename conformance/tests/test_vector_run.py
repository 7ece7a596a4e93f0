"""The run of policy vectors, against the reference daemon and modules that it can read."""

import json
from pathlib import Path

import pytest
from suite_process import DAEMON, SUITE, run_suite
from vector_files import judge_spades, write_spades

pytestmark = pytest.mark.timeout(600)  # they run the suite, as somebody else would

HARMLESS = "harmless in its box, allowed:"


def test_the_figures_are_printed(tmp_path: Path) -> None:
    """A module that decides all vectors as they say passes, and all counts are shown."""
    done = judge_spades(tmp_path, '[deny]\nargs = ["--deep", "--depth=9"]\n')
    assert done.returncode == 0, done.stdout
    figures = f"evasions denied: 2 of 2; everyday commands allowed: 1 of 1; {HARMLESS} 1 of 1"
    assert f"spade      {figures}" in done.stdout
    assert f"total      {figures}" in done.stdout


def test_an_evasion_that_passes_is_a_failure_that_says_what_it_is(tmp_path: Path) -> None:
    """The failure has the vector's id, its flag, and stands in the report."""
    report = tmp_path / "report.json"
    done = judge_spades(tmp_path, '[deny]\nargs = ["--deep"]\n', "--report", str(report))
    assert done.returncode == 1
    assert "evasions denied: 1 of 2; everyday commands allowed: 1 of 1" in done.stdout
    assert "test_policy[spade-0002]" in done.stdout
    assert "must be denied (Deep: depth)" in done.stdout
    document = json.loads(report.read_text())
    assert document["policy"][-1] == {
        "tool": "total",
        "denied": 1,
        "evasions": 2,
        "allowed": 1,
        "everyday": 1,
        "let_be": 1,
        "harmless": 1,
        "not_judged": 0,
    }
    assert document["causes"] == {"policy: what must be denied is allowed": ["policy/spade-0002"]}


def test_refusing_everything_does_not_pass(tmp_path: Path) -> None:
    """Everyday commands count as much as evasions, and what is harmless as well."""
    done = judge_spades(tmp_path, "[allow]\nargs = []\n")
    assert done.returncode == 1
    figures = f"evasions denied: 2 of 2; everyday commands allowed: 0 of 1; {HARMLESS} 0 of 1"
    assert figures in done.stdout


def test_a_tool_that_is_not_there_denies_nothing(tmp_path: Path) -> None:
    """A daemon without a module of the tool refuses its vectors, and that does not count."""
    vectors = write_spades(tmp_path)
    done = run_suite(
        f"{SUITE}/test_vectors.py::test_policy", "--daemon", DAEMON, "--vectors", vectors
    )
    assert done.returncode == 1
    assert "evasions denied: 0 of 2; everyday commands allowed: 0 of 1" in done.stdout


def test_a_directory_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    """Vectors that are not there are refused before anything runs."""
    done = run_suite("--vectors", tmp_path / "none")
    assert done.returncode == 4
    assert "no such directory" in done.stderr
