"""Parts of a test run beside each other."""

import os
import sys
from pathlib import Path

import pytest
from tasks import parts
from tasks.environment import Environment
from tasks.parts import Part, run_beside

_TESTS = {
    "writes": "def test_it():\n    open({pipe!r}, 'w').close()\n",
    "reads": "def test_it():\n    open({pipe!r}).close()\n",
    "fails": "def test_it():\n    assert False, 'told last'\n",
}


def test_two_parts_run_at_once_and_are_told_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither end of a pipe opens alone; the third part waits, and fails for itself."""
    monkeypatch.setattr(parts, "REPORTS", tmp_path / "reports")
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    wanted = []
    for name, text in _TESTS.items():
        path = tmp_path / f"test_{name}.py"
        path.write_text(text.format(pipe=pipe))
        wanted.append(Part(name, ("-c", os.devnull, "-p", "no:cacheprovider", str(path))))
    outcomes = run_beside(Environment("this", Path(sys.prefix)), wanted)
    assert [outcome.verdict for outcome in outcomes] == ["passed", "passed", "failed"]
    printed = capfd.readouterr().out
    places = [printed.index(f"==> {name}\n") for name in _TESTS]
    assert places == sorted(places)
    assert printed.rindex(" passed in ") < places[2] < printed.index("told last")
