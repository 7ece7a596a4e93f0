"""The cases of a shim: what it must send, print, and end with."""

from airlock_conformance.cases import Case
from airlock_conformance.checks import Checks
from airlock_conformance.patience import Patience
from airlock_conformance.shim_role import run_shim_case


def test_shim(shim_case: Case, shim_executable: str, patience: Patience, checks: Checks) -> None:
    """The shim does as the case expects, and its request is a message of the protocol."""
    with patience.trying("shim") as seconds:
        run_shim_case(shim_case.body, shim_executable, patience=seconds, checks=checks)
