"""The suite as a person runs it: options, skips, expected failures, the report."""

import json
import sys
from pathlib import Path

import pytest
from suite_process import DAEMON, SUITE, run_suite

pytestmark = pytest.mark.timeout(600)  # they run the suite, as somebody else would

FEATURES = ("base64", "tty")
PASSING = f"{SUITE}/test_daemon.py::test_daemon[requests-least]"


@pytest.mark.nightly
def test_without_executables_cases_are_not_run(tmp_path: Path) -> None:
    """Without a daemon and a shim the cases are reported as not run, and nothing fails."""
    report = tmp_path / "report.json"
    chosen = [SUITE / f"test_{name}.py" for name in ("daemon", "shim", "checks")]
    done = run_suite("--report", report, *chosen)
    assert done.returncode == 0, done.stdout
    assert "no --daemon EXE given" in done.stdout
    document = json.loads(report.read_text())
    assert set(document["summary"]) == {"not run"}
    assert document["requirements"]["B-08"]["daemon/requests-check-does-not-run"] == "not run"
    assert "B-47" in document["excused"]


@pytest.mark.nightly
def test_a_feature_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    """Cases that need a feature are not run without it, and the others are."""
    report = tmp_path / "report.json"
    chosen = [f"{SUITE}/test_daemon.py::test_daemon[features-alone-{name}]" for name in FEATURES]
    done = run_suite("--daemon", DAEMON, "--without", "tty", "--report", report, *chosen)
    assert done.returncode == 0, done.stdout
    assert "not run: --without tty" in done.stdout
    assert json.loads(report.read_text())["summary"] == {"passed": 1, "not run": 1}


def test_each_message_is_a_check_of_its_own(tmp_path: Path) -> None:
    """The report counts the messages of each kind, and says what none was seen of."""
    report = tmp_path / "report.json"
    chosen = (PASSING, f"{SUITE}/test_checks.py")
    done = run_suite("--daemon", DAEMON, "--report", report, *chosen)
    assert done.returncode == 0, done.stdout
    document = json.loads(report.read_text())
    made = document["checks"]
    assert made["checks/daemon-message-output"] == {"made": 1, "verdict": "passed"}
    assert made["checks/shim-message-stdin"] == {"made": 0, "verdict": "not run"}
    assert document["roles"]["daemon"] == {"passed": 1}


def test_a_message_that_is_wrong_fails_its_check(tmp_path: Path) -> None:
    """A fault of a message fails the check of that message too, with its words."""
    daemon = tmp_path / "daemon"
    daemon.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(DAEMON.parent)!r})\n"
        "from broken_daemons import ErrorsWithoutData\nfrom reference_daemon import main\n"
        "main(ErrorsWithoutData)\n"
    )
    daemon.chmod(0o755)
    chosen = (
        f"{SUITE}/test_daemon.py::test_daemon[refusals-denied-by-the-module]",
        f"{SUITE}/test_checks.py",
    )
    report = tmp_path / "report.md"
    done = run_suite("--daemon", daemon, "--report", report, *chosen)
    assert done.returncode == 1
    page = report.read_text()
    assert "| Each error message of the daemon follows its schemas. | 1 | failed |" in page
    assert "$.error: 'data' is a required property (conduct/error.json)" in page


def test_a_missing_executable_is_a_usage_error() -> None:
    """An executable that is not there is refused before anything runs."""
    done = run_suite(SUITE, "--daemon", "/nonexistent/daemon")
    assert done.returncode == 4
    assert "--daemon /nonexistent/daemon: no such file" in done.stderr


@pytest.mark.nightly
def test_an_expected_failure_that_passes_is_an_error(tmp_path: Path) -> None:
    """A case that is listed as failing must fail."""
    listed = tmp_path / "expected"
    listed.write_text("daemon/requests-least  # not true\n")
    report = tmp_path / "report.md"
    options = ("--daemon", DAEMON, "--expected-failures", listed, "--report", report)
    done = run_suite(*options, PASSING)
    assert done.returncode == 1
    assert "XPASS(strict)" in done.stdout
    assert "| 1 | it passed, and was expected to fail | daemon/requests-least |" in (
        report.read_text()
    )


def test_an_expected_failure_that_fails_is_none(tmp_path: Path) -> None:
    """A case that fails as listed does not fail the run, and the report says what it was."""
    listed = tmp_path / "expected"
    listed.write_text("\n# known\ndaemon/requests-least  # it is another program\n")
    report = tmp_path / "report.json"
    options = ("--daemon", "/bin/false", "--expected-failures", listed, "--report", report)
    done = run_suite(*options, PASSING)
    assert done.returncode == 0, done.stdout
    verdicts = json.loads(report.read_text())["requirements"]["B-08"]
    assert verdicts == {"daemon/requests-least": "expected failure"}


@pytest.mark.nightly
def test_a_bad_list_of_failures_is_a_usage_error(tmp_path: Path) -> None:
    """A list that names no case, or gives no reason, is refused with its line."""
    listed = tmp_path / "expected"
    for line, text in (("daemon/nonesuch # x", "no case"), ("daemon/ids-zero", "add the reason")):
        listed.write_text(f"\n{line}\n")
        done = run_suite("--daemon", DAEMON, "--expected-failures", listed, PASSING)
        assert done.returncode == 4
        assert f"{listed}:2: " in done.stderr
        assert text in done.stderr


def test_a_daemon_that_does_not_start_shows_its_words(tmp_path: Path) -> None:
    """Where a daemon ends instead of serving, its status and what it wrote are shown."""
    daemon = tmp_path / "daemon"
    daemon.write_text("#!/bin/sh\necho no licence >&2\nexit 3\n")
    daemon.chmod(0o755)
    done = run_suite("--daemon", daemon, PASSING)
    assert done.returncode == 1
    assert "the daemon ended with status 3" in done.stdout
    assert "no licence" in done.stdout
