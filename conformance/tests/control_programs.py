"""The controls as executables, and cases run against them."""

import sys
from pathlib import Path
from typing import Any

from airlock_conformance.cases import ROLES, Case, load
from airlock_conformance.checks import Checks
from airlock_conformance.daemon_role import run_daemon_case
from airlock_conformance.rules_role import run_rules_case
from airlock_conformance.setup import Installation

CONTROLS = Path(__file__).resolve().parent.parent / "controls"
PATIENCE = 20.0
SHORT_PATIENCE = 1.0  # for faults that show in nothing happening

CASES = {case.name: case for role in ROLES for case in load(role)}


def write_control(path: Path, kind: type[Any], *, entry: str) -> str:
    """Write an executable that is the control of one class, and return its path."""
    path.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"sys.path.insert(0, {str(CONTROLS)!r})\n"
        f"from {kind.__module__} import {kind.__name__}\n"
        f"from {entry} import main\n"
        f"main({kind.__name__})\n"
    )
    path.chmod(0o755)
    return str(path)


def judge_case(case: Case, installation: Installation, *, patience: float) -> None:
    """Run one case of a daemon's roles against a daemon that runs."""
    if case.role == "rules":
        run_rules_case(case, installation, patience=patience, checks=Checks())
    else:
        run_daemon_case(case.body, installation, patience=patience)
