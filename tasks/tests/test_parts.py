"""Parts of a test run, and what happens to a test that fails."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tasks import parts
from tasks.environment import Environment
from tasks.parts import Part, run_part
from tasks.places import ROOT
from tasks.report import Outcome
from tasks.test import _JOURNEYS_WITHOUT_LINUX, _WITHOUT_LINUX

HERE = Environment("this", Path(sys.prefix))

_FLAKY = """\
import os
import re

def test_passes_the_second_time():
    seen = os.path.exists({mark!r})
    open({mark!r}, "w").close()
    assert seen, "the first time"

def test_runs_once():
    with open({log!r}, "a") as log:
        log.write("x")
"""

_TRIAL = "test_some.py::test_passes_the_second_time"


def _run(folder: Path, *, is_repeated: bool = True) -> Outcome:
    own = ("-c", os.devnull, f"--rootdir={folder}", str(folder))
    return run_part(HERE, Part("some", own, is_repeated=is_repeated))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run has no hand in the reports of the run around it, and loads xdist alone."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "xdist.plugin")
    monkeypatch.setattr(parts, "REPORTS", tmp_path / "reports")
    monkeypatch.setattr(parts, "HATCH", tmp_path / "hatch")
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)


def test_a_test_that_passes_the_second_time_is_named(tmp_path: Path) -> None:
    """It runs once more alone; the part passes, and says with which failure it began."""
    log = tmp_path / "log"
    text = _FLAKY.format(mark=str(tmp_path / "mark"), log=str(log))
    (tmp_path / "test_some.py").write_text(text)
    outcome = _run(tmp_path)
    assert outcome.verdict == "passed"
    assert outcome.detail.startswith("2 passed, ")
    assert len(outcome.flaky) == 1
    assert "::test_passes_the_second_time: AssertionError: the first time" in outcome.flaky[0]
    assert log.read_text() == "x"


def test_a_leak_is_not_tried_again(tmp_path: Path) -> None:
    """Where a part says so, one failure is one."""
    text = _FLAKY.format(mark=str(tmp_path / "mark"), log=str(tmp_path / "log"))
    (tmp_path / "test_some.py").write_text(text)
    outcome = _run(tmp_path, is_repeated=False)
    assert (outcome.verdict, outcome.flaky) == ("failed", ())
    assert outcome.detail.startswith("1 passed, 1 failed, ")


@pytest.mark.parametrize("trial", [_TRIAL, "test_some.py"])
def test_neither_is_an_attack_that_once_worked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trial: str
) -> None:
    """Whichever part it is in, and whatever its parameters: it may be a race."""
    findings = tmp_path / "findings.toml"
    findings.write_text(f'[[attack]]\nwhat = "some"\ntried_by = ["{trial}", "box-git: a word"]\n')
    monkeypatch.setattr(parts, "FINDINGS", findings)
    text = _FLAKY.format(mark=str(tmp_path / "mark"), log=str(tmp_path / "log"))
    head, _, tail = text.partition("def test_passes_the_second_time()")
    mark = "import pytest\n@pytest.mark.parametrize('word', ['a'])\n"
    (tmp_path / "test_some.py").write_text(
        f"{head}{mark}def test_passes_the_second_time(word){tail}"
    )
    outcome = _run(tmp_path)
    assert (outcome.verdict, outcome.flaky) == ("failed", ())


def test_a_part_without_tests_has_failed(tmp_path: Path) -> None:
    """One that lost its tests is noticed."""
    assert _run(tmp_path).verdict == "failed"


def test_what_runs_again_without_linux_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest runs nothing of a part if one file or test of it is missing."""
    for name in ("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_PLUGINS"):
        monkeypatch.delenv(name)
    assert [file for file in _WITHOUT_LINUX if not (ROOT / file).is_file()] == []
    nightly = " ".join((ROOT / ".ci/nightly").read_text().replace("\\\n", "").splitlines())
    listed = re.search(r"--without-linux +(\S+)\{(\S+)\}(\.py) +(\S+)", nightly)
    assert listed is not None
    start, names, end, last = listed.groups()
    at_night = [*(f"{start}{name}{end}" for name in names.split(",")), last]
    assert [file for file in at_night if not (ROOT / file).is_file()] == []
    words = ("--collect-only", "--quiet", "--without-linux", *_JOURNEYS_WITHOUT_LINUX)
    command = (sys.executable, "-m", "pytest", *words)
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
