"""The suite against implementations that are known to be right, and known to be wrong."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from airlock_conformance.cases import ROLES, Case, load, load_setup
from airlock_conformance.daemon_process import running_daemon
from airlock_conformance.daemon_role import run_daemon_case
from airlock_conformance.rules_role import rules_setup, run_rules_case
from airlock_conformance.setup import Installation
from airlock_conformance.shim_role import run_shim_case
from airlock_conformance.violation import Violation

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "controls"))

from broken_daemons import broken_daemons
from broken_shims import broken_shims

CONTROLS = Path(__file__).resolve().parent.parent / "controls"
PATIENCE = 20.0
SHORT_PATIENCE = 2.0  # for faults that show in nothing happening

CASES = {case.name: case for role in ROLES for case in load(role)}


def cases_of(*roles: str) -> list[object]:
    """Return the cases of some roles as parameters of a test."""
    return [pytest.param(case, id=name) for name, case in CASES.items() if case.role in roles]


def write_control(path: Path, *, module: str, kind: str, entry: str) -> str:
    """Write an executable that is the control of one class, and return its path."""
    path.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"sys.path.insert(0, {str(CONTROLS)!r})\n"
        f"from {module} import {kind}\n"
        f"from {entry} import main\n"
        f"main({kind})\n"
    )
    path.chmod(0o755)
    return str(path)


def judge_case(case: Case, installation: Installation, *, patience: float) -> None:
    """Run one case of a daemon's roles against a daemon that runs."""
    if case.role == "rules":
        run_rules_case(case, installation, patience=patience)
    else:
        run_daemon_case(case.body, installation, patience=patience)


@pytest.fixture(scope="module")
def judge_daemon() -> Iterator[Callable[[Case], None]]:
    """Return what runs a case against the reference daemon; one daemon serves each setup."""
    running: dict[str, Installation] = {}
    with ExitStack() as stack:

        def judge(case: Case) -> None:
            name = case.body.get("setup", "rules")
            if name not in running:
                setup = rules_setup(load("rules")) if name == "rules" else load_setup(name)
                daemon = str(CONTROLS / "reference_daemon.py")
                running[name] = stack.enter_context(
                    running_daemon(daemon, setup, patience=PATIENCE)
                )
            judge_case(case, running[name], patience=PATIENCE)

        yield judge


@pytest.mark.parametrize("case", cases_of("daemon", "rules"))
def test_the_reference_daemon_passes(case: Case, judge_daemon: Callable[[Case], None]) -> None:
    """A daemon that keeps to the protocol passes every case."""
    judge_daemon(case)


@pytest.mark.parametrize("case", cases_of("shim"))
def test_the_reference_shim_passes(case: Case) -> None:
    """A shim that keeps to the protocol passes every case."""
    run_shim_case(case.body, str(CONTROLS / "reference_shim.py"), patience=PATIENCE)


@pytest.mark.parametrize("name", broken_daemons())
def test_a_broken_daemon_is_caught(name: str, tmp_path: Path) -> None:
    """The case that is there for a fault of a daemon fails for it."""
    case = CASES[broken_daemons()[name].caught_by]
    daemon = write_control(
        tmp_path / "daemon", module="broken_daemons", kind=name, entry="reference_daemon"
    )
    setup = rules_setup([case]) if case.role == "rules" else load_setup(case.body["setup"])
    with (
        running_daemon(daemon, setup, patience=PATIENCE) as installation,
        pytest.raises(Violation),
    ):
        judge_case(case, installation, patience=SHORT_PATIENCE)


@pytest.mark.parametrize("name", broken_shims())
def test_a_broken_shim_is_caught(name: str, tmp_path: Path) -> None:
    """The case that is there for a fault of a shim fails for it."""
    case = CASES[broken_shims()[name].caught_by]
    shim = write_control(
        tmp_path / "shim", module="broken_shims", kind=name, entry="reference_shim"
    )
    with pytest.raises(Violation):
        run_shim_case(case.body, shim, patience=SHORT_PATIENCE)
