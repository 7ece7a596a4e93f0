"""The suite against implementations that know the base of the protocol alone."""

import json
import sys
from pathlib import Path

import pytest
from control_programs import CONTROLS, write_control
from suite_process import SUITE, run_suite
from vector_files import judge_spades

sys.path.insert(0, str(CONTROLS))

from base_only import BaseOnlyDaemon, BaseOnlyShim
from plain import PlainDaemon, PlainShim

# What nohup and a shell's & leave ignored, and more.
IGNORED = ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH")


@pytest.mark.parametrize(
    ("daemon", "shim"),
    [(PlainDaemon, PlainShim), (BaseOnlyDaemon, BaseOnlyShim)],
    ids=["plain", "base"],
)
def test_one_that_keeps_to_the_base_passes(
    tmp_path: Path, daemon: type[PlainDaemon], shim: type[PlainShim]
) -> None:
    """All that is judged passes in one run, whatever signals the suite was started without."""
    report = tmp_path / "report.json"
    pair = (
        "--daemon", write_control(tmp_path / "daemon", daemon, entry="reference_daemon"),
        "--shim", write_control(tmp_path / "shim", shim, entry="reference_shim"),
    )  # fmt: skip
    chosen = [SUITE / f"test_{name}.py" for name in ("daemon", "shim", "checks")]
    done = run_suite(*pair, "--base-only", "--report", report, *chosen, ignored=IGNORED)
    assert done.returncode == 0, done.stdout
    document = json.loads(report.read_text())
    assert document["base_only"]
    assert set(document["summary"]) == {"passed", "not run"}
    assert document["roles"]["daemon"]["passed"] > 150
    assert document["roles"]["shim"]["passed"] > 70
    assert document["roles"]["rules"] == {"passed": 35}
    assert document["requirements"]["B-08"]["daemon/requests-least"] == "passed"


def test_the_code_tells_a_denial(tmp_path: Path) -> None:
    """Without `data` in errors an evasion counts as denied where the code says so."""
    daemon = write_control(tmp_path / "daemon", BaseOnlyDaemon, entry="reference_daemon")
    rules = '[deny]\nargs = ["--deep"]\n'
    done = judge_spades(tmp_path, rules, "--base-only", daemon=daemon)
    assert "evasions denied: 1 of 2; everyday commands allowed: 1 of 1" in done.stdout
    assert "policy: what must be denied is allowed (policy/spade-0002)" in done.stdout


def test_a_module_that_is_not_there_denies_nothing(tmp_path: Path) -> None:
    """An unknown command is told from a denial by its code, and is one cause."""
    daemon = write_control(tmp_path / "daemon", BaseOnlyDaemon, entry="reference_daemon")
    rules = "[deny]\nargs = []\n\n[unheard-of]\nkey = 1\n"
    done = judge_spades(tmp_path, rules, "--base-only", daemon=daemon)
    assert "evasions denied: 0 of 2; everyday commands allowed: 0 of 1" in done.stdout
    assert "2  policy: what must be denied is an unknown command" in done.stdout
