"""The cases of a bridge's container end: what it carries, and what ends it."""

from airlock_conformance.bridge_role import run_bridge_case
from airlock_conformance.cases import Case
from airlock_conformance.patience import Patience


def test_bridge(bridge_case: Case, bridge_executable: str, patience: Patience) -> None:
    """The container's end does as the case expects."""
    with patience.trying("bridge") as seconds:
        run_bridge_case(bridge_case.body, bridge_executable, patience=seconds)
