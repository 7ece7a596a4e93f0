"""The run of policy vectors, against the reference daemon and modules that it can read."""

import json
import subprocess
from pathlib import Path

import pytest
from suite_process import DAEMON, SUITE, run_suite

VECTORS = {
    "tool": "spade",
    "toolVersion": "1",
    "notes": {
        "Deep": {"class": "digs too deep", "description": "Below the pipes."},
        "Everyday": {"class": "everyday", "description": "Ordinary work."},
    },
    "groups": [
        {
            "comment": "depth",
            "tests": [
                {"id": "spade-0001", "args": ["--deep"], "result": "denied", "flags": ["Deep"]},
                {
                    "id": "spade-0002",
                    "args": ["--depth=9", {"base64": "/w=="}],
                    "result": "denied",
                    "flags": ["Deep"],
                },
                {"id": "spade-0003", "args": ["dig"], "result": "allowed", "flags": ["Everyday"]},
            ],
        }
    ],
}


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """A directory with vectors of one tool."""
    directory = tmp_path / "vectors"
    directory.mkdir()
    (directory / "spade.json").write_text(json.dumps(VECTORS))
    return directory


def judge(
    tmp_path: Path, vectors: Path, rules: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """Run the vectors against a daemon whose module of the tool has these rules."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "spade.toml").write_text(f'[command]\nbin = "/bin/true"\n{rules}')
    where: list[str | Path] = ["--daemon", DAEMON, "--vectors", vectors, "--modules", modules]
    return run_suite(f"{SUITE}/test_vectors.py::test_policy", *where, *options)


def test_both_figures_are_printed(tmp_path: Path, vectors: Path) -> None:
    """A module that decides all vectors as they say passes, and both counts are shown."""
    done = judge(tmp_path, vectors, '[deny]\nargs = ["--deep", "--depth=9"]\n')
    assert done.returncode == 0, done.stdout
    figures = "evasions denied: 2 of 2; everyday commands allowed: 1 of 1"
    assert f"spade      {figures}" in done.stdout
    assert f"total      {figures}" in done.stdout


def test_an_evasion_that_passes_is_a_failure_that_says_what_it_is(
    tmp_path: Path, vectors: Path
) -> None:
    """The failure has the vector's id, its flag, and stands in the report."""
    report = tmp_path / "report.json"
    done = judge(tmp_path, vectors, '[deny]\nargs = ["--deep"]\n', "--report", str(report))
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
    }


def test_refusing_everything_does_not_pass(tmp_path: Path, vectors: Path) -> None:
    """Everyday commands count as much as evasions."""
    done = judge(tmp_path, vectors, "[allow]\nargs = []\n")
    assert done.returncode == 1
    assert "evasions denied: 2 of 2; everyday commands allowed: 0 of 1" in done.stdout


def test_a_tool_that_is_not_there_denies_nothing(vectors: Path) -> None:
    """A daemon without a module of the tool refuses its vectors, and that does not count."""
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
