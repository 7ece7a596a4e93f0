"""Every attack on the broker of a docker engine, and whether each could have worked."""

import os

import pytest
from e2e.canary.attack import ENGINE_GUARANTEES, select
from e2e.canary.engine.families import ENGINE_FAMILIES
from e2e.canary.engine.scene import carry_out
from e2e.canary.run import Told, list_surprises, say_tried
from e2e.world import engine

ATTACKS = [attack for family in ENGINE_FAMILIES for attack in family.attacks]

pytestmark = pytest.mark.skipif(
    not os.environ.get("REQUIRE_DOCKER") and engine.why_not() is not None,
    reason="needs an engine of docker",
)


def test_nothing_leaks_by_an_engine(told: Told) -> None:
    """Nothing of the host, of a person or of another agent is read, changed or mounted."""
    results = carry_out(ATTACKS)
    told(f"engine: {say_tried(results)}")
    assert list(list_surprises(results)) == []


@pytest.mark.parametrize("guard", ENGINE_GUARANTEES)
def test_attacks_work_where_their_guard_is_off(guard: str, told: Told) -> None:
    """An attack that could not succeed would test nothing."""
    chosen = select(ATTACKS, guard)
    assert chosen
    results = carry_out(chosen, without=guard)
    told(f"without {guard}: {len(results)} attacks tried, all have to leak")
    assert [result.attack.name for result in results if not result.leaks] == []
