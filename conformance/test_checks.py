"""What was required of every message and session, over all cases of the run."""

import pytest

from airlock_conformance.cases import Case
from airlock_conformance.checks import Checks
from airlock_conformance.violation import require_none


def test_check(checks_case: Case, checks: Checks) -> None:
    """No case of this run made the check fail, and one of them made it look at something."""
    if not checks.made(checks_case.id):
        pytest.skip("not run: no case gave it anything to look at")
    require_none(checks.faults(checks_case.id))
