"""Every attack out of a box, and whether each could have worked."""

import pytest
from e2e.canary.attack import BOX_GUARANTEES, Family, select
from e2e.canary.boxes import run
from e2e.canary.boxes.catalogue import BOX_FAMILIES
from e2e.canary.boxes.world import WAYS, By
from e2e.canary.run import list_surprises, say_tried
from e2e.world.need import need

ATTACKS = [attack for family in BOX_FAMILIES for attack in family.attacks]


@pytest.fixture(autouse=True)
def may_make_boxes() -> None:
    """Skip where there is nothing to make them."""
    need(run.why_not())


@pytest.mark.parametrize("family", BOX_FAMILIES, ids=lambda family: family.name)
def test_nothing_leaks_out_of_a_box(family: Family, told: list[str]) -> None:
    """No canary reaches a client or its workspace, nothing of the host changes or is left."""
    results = run.carry_out(family.attacks, by=WAYS[0])
    told.append(f"{family.name}, by {WAYS[0]}: {say_tried(results)}")
    assert list(list_surprises(results)) == []


@pytest.mark.parametrize("by", WAYS[1:], ids=str)
def test_nothing_leaks_out_of_boxes_that_are_made_in_other_ways(by: By, told: list[str]) -> None:
    """But for what is known to be left."""
    # Some of all, and all that are known: `./dev canary` has each.
    chosen = [
        each
        for index, each in enumerate(ATTACKS)
        if index % 6 == 0 or each.known or "device" in each.guard
    ]
    results = run.carry_out(chosen, by=by)
    told.append(f"by {by}: {say_tried(results)}")
    assert list(list_surprises(results)) == []


@pytest.mark.parametrize("guard", BOX_GUARANTEES)
def test_attacks_work_where_their_guard_is_off(
    guard: str, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attack that could not succeed would test nothing."""
    # A race may be lost some hundred times in a row.
    monkeypatch.setenv("CANARY_TRIES", "250")
    by = next(way for way in WAYS if run.can_be_off(guard, way))
    chosen = select(ATTACKS, guard)[::6]
    assert chosen
    results = run.carry_out(chosen, by=by, without=guard)
    assert results
    told.append(f"without {guard}: {len(results)} attacks tried, all have to leak")
    assert [result.attack.name for result in results if not result.leaks] == []


def test_no_attack_is_listed_twice() -> None:
    """Names tell attacks apart, in a report as anywhere."""
    names = [
        (family.name, attack.name, attack.only)
        for family in BOX_FAMILIES
        for attack in family.attacks
    ]
    assert len(set(names)) == len(names)
    assert {attack.guard for attack in ATTACKS} == {*BOX_GUARANTEES}
