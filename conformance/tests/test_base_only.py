"""The suite against implementations that know the base of the protocol alone."""

import json
import sys
from pathlib import Path

import pytest
from control_programs import CONTROLS, write_control
from suite_process import SUITE, run_suite
from vector_files import judge_spades

from airlock_conformance.cases import Case
from airlock_conformance.vectors import VECTORS, load_vectors

sys.path.insert(0, str(CONTROLS))

from base_only import STRICT_RULES, BaseOnlyDaemon, BaseOnlyShim, StrictDaemon
from reference_rules import matches, read_arguments

pytestmark = pytest.mark.timeout(600)  # they run the suite, as somebody else would

JUDGED = ("git", "ssh")

# What nohup and a shell's & leave ignored, and more.
IGNORED = ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH")


@pytest.mark.nightly
def test_one_that_keeps_to_the_base_passes(tmp_path: Path) -> None:
    """All that is judged passes in one run, whatever signals the suite was started without."""
    report = tmp_path / "report.json"
    pair = (
        "--daemon", write_control(tmp_path / "daemon", BaseOnlyDaemon, entry="reference_daemon"),
        "--shim", write_control(tmp_path / "shim", BaseOnlyShim, entry="reference_shim"),
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


@pytest.mark.nightly
def test_the_vectors_are_judged_of_a_daemon_that_refuses_what_it_does_not_know(
    tmp_path: Path,
) -> None:
    """It starts, and the figures are those of its rules; what says nothing of it is apart.

    ssh's vectors ask for a table of the profile, git's have some that a box makes harmless.
    """
    chosen = choose_vectors(tmp_path, *JUDGED)
    daemon = write_control(tmp_path / "daemon", StrictDaemon, entry="reference_daemon")
    report = tmp_path / "report.json"
    done = run_suite(
        *("--daemon", daemon, "--base-only", "--report", report, "--vectors", chosen),
        f"{SUITE}/test_vectors.py::test_policy",
    )
    document = json.loads(report.read_text())
    assert document["not_started"] == {}
    vectors = load_vectors(chosen)
    expected = {tool: count_strictly(tool, vectors) for tool in JUDGED}
    for row in document["policy"][:-1]:
        assert row == expected[row["tool"]]
        assert 0 < row["denied"] < row["evasions"]
        assert 0 < row["allowed"] < row["everyday"]
    total = document["policy"][-1]
    assert [row["tool"] for row in document["policy"]] == [*JUDGED, "total"]
    assert total["evasions"] + total["everyday"] + total["not_judged"] == len(vectors)
    boxed = sum(vector.body["canary"] is not None for vector in vectors)
    assert document["not_judged"] == {
        "harmless in a box alone, and a daemon of the base has none": boxed,
        "arguments that are not UTF-8, which this daemon does not take (B-16)": (
            total["not_judged"] - boxed
        ),
    }
    shown = f"total      evasions denied: {total['denied']} of {total['evasions']}; "
    assert shown in done.stdout
    assert f"; not judged: {total['not_judged']}\n" in done.stdout
    assert f"not judged: {boxed}, harmless in a box alone" in done.stdout


def choose_vectors(root: Path, *tools: str) -> Path:
    """Return a directory with every third vector of some tools, group by group."""
    chosen = root / "vectors"
    chosen.mkdir()
    for tool in tools:
        document = json.loads((VECTORS / f"{tool}.json").read_text(encoding="utf-8"))
        for group in document["groups"]:
            group["tests"] = group["tests"][::3]
        (chosen / f"{tool}.json").write_text(json.dumps(document))
    return chosen


def count_strictly(tool: str, vectors: list[Case]) -> dict[str, str | int]:
    """The figures of the daemon's rules, without the run."""
    row = dict.fromkeys(("denied", "evasions", "allowed", "everyday"), 0)
    counts: dict[str, str | int] = {
        "tool": tool,
        **row,
        "let_be": 0,
        "harmless": 0,
        "not_judged": 0,
    }
    for vector in (each for each in vectors if each.body["command"] == tool):
        args = vector.body["args"]
        is_text = all(isinstance(word, str) for word in args)
        if vector.body["canary"] or not is_text:
            keys = ["not_judged"]
        else:
            read = read_arguments(args)
            is_denied = any(matches(rule, read) for rule in STRICT_RULES[tool])
            wants = vector.body["result"] == "denied"
            keys = ["evasions" if wants else "everyday"]
            keys += [("denied" if wants else "allowed")] if is_denied == wants else []
        for key in keys:
            counts[key] = int(counts[key]) + 1
    return counts


def test_what_a_daemon_wrote_that_does_not_start_is_shown(tmp_path: Path) -> None:
    """Once at the end and in the reports, however many cases fail by it."""
    daemon = write_control(tmp_path / "daemon", StrictDaemon, entry="reference_daemon")
    vectors = choose_vectors(tmp_path, "ssh")
    reports = tmp_path / "report.md", tmp_path / "report.json"
    for report in reports:
        # Without --base-only it is asked about all vectors with all lines of their profile.
        done = run_suite(
            *("--daemon", daemon, "--report", report, "--vectors", vectors, "-k", "ssh-01"),
            f"{SUITE}/test_vectors.py::test_policy",
        )
        assert done.returncode == 1
        assert done.stdout.count("airlock.toml: unknown table [ssh]; remove it") == 1
        assert "the daemon did not start on the setup policy" in done.stdout
    page, document = reports[0].read_text(), json.loads(reports[1].read_text())
    assert "## The daemon did not start on the setup policy\n" in page
    assert "airlock.toml: unknown table [ssh]; remove it\n" in page
    assert "unknown table [ssh]; remove it" in document["not_started"]["policy"]
