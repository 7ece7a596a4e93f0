"""The suite against implementations that are known to be right, and known to be wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

SUITE = Path(__file__).resolve().parent.parent
CONTROLS = SUITE / "controls"
sys.path.insert(0, str(CONTROLS))

from broken_daemons import broken_daemons
from broken_shims import broken_shims

_TESTS = {"daemon": "test_daemon.py::test_daemon", "rules": "test_daemon.py::test_rules"}


def run_suite(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the suite as a person would, and return what came of it."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        [str(word) for word in command],
        cwd=SUITE,
        capture_output=True,
        text=True,
        check=False,
    )


def write_executable(path: Path, *, module: str, kind: str, entry: str) -> Path:
    """Write a program that is the control of one class."""
    path.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"sys.path.insert(0, {str(CONTROLS)!r})\n"
        f"from {module} import {kind}\n"
        f"from {entry} import main\n"
        f"main({kind})\n"
    )
    path.chmod(0o755)
    return path


def node_of(case: str) -> str:
    """Return what pytest calls a case."""
    role, _, name = case.partition("/")
    return f"{SUITE}/{_TESTS.get(role, 'test_shim.py::test_shim')}[{name}]"


def test_the_reference_daemon_passes() -> None:
    """A daemon that keeps to the protocol passes every case."""
    done = run_suite("--daemon", CONTROLS / "reference_daemon.py", SUITE / "test_daemon.py")
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]


def test_the_reference_shim_passes() -> None:
    """A shim that keeps to the protocol passes every case."""
    done = run_suite("--shim", CONTROLS / "reference_shim.py", SUITE / "test_shim.py")
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("name", broken_daemons())
def test_a_broken_daemon_is_caught(name: str, tmp_path: Path) -> None:
    """The case that is there for a fault of a daemon fails for it, and for nothing else."""
    kind = broken_daemons()[name]
    daemon = write_executable(
        tmp_path / "daemon", module="broken_daemons", kind=name, entry="reference_daemon"
    )
    done = run_suite("--daemon", daemon, "--patience", "3", node_of(kind.caught_by))
    assert done.returncode == 1, done.stdout
    assert "1 failed" in done.stdout.splitlines()[-1]
    assert "Violation" in done.stdout


@pytest.mark.parametrize("name", broken_shims())
def test_a_broken_shim_is_caught(name: str, tmp_path: Path) -> None:
    """The case that is there for a fault of a shim fails for it, and for nothing else."""
    kind = broken_shims()[name]
    shim = write_executable(
        tmp_path / "shim", module="broken_shims", kind=name, entry="reference_shim"
    )
    done = run_suite("--shim", shim, "--patience", "3", node_of(kind.caught_by))
    assert done.returncode == 1, done.stdout
    assert "1 failed" in done.stdout.splitlines()[-1]
    assert "Violation" in done.stdout
