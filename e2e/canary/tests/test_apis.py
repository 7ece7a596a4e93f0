"""Every attack on the broker of APIs, and whether each could have worked."""

import pytest
from e2e.canary.apis.families import API_FAMILIES
from e2e.canary.apis.scene import carry_out
from e2e.canary.attack import API_GUARANTEES, select
from e2e.canary.run import Told, list_surprises, say_tried

ATTACKS = [attack for family in API_FAMILIES for attack in family.attacks]


def test_nothing_leaks_by_an_api(told: Told) -> None:
    """No credential reaches a client, and no operation a service that was not granted."""
    results = carry_out(ATTACKS)
    told(f"APIs: {say_tried(results)}")
    assert list(list_surprises(results)) == []


@pytest.mark.parametrize("guard", API_GUARANTEES)
def test_attacks_work_where_their_guard_is_off(guard: str, told: Told) -> None:
    """An attack that could not succeed would test nothing."""
    chosen = select(ATTACKS, guard)
    assert chosen
    results = carry_out(chosen, without=guard)
    told(f"without {guard}: {len(results)} attacks tried, all have to leak")
    assert [result.attack.name for result in results if not result.leaks] == []
