"""Every attack out of a box, and whether each could have worked."""

from collections.abc import Iterator

import pytest
from e2e.canary.attack import BOX_GUARANTEES, Attack, Family, select
from e2e.canary.boxes import run
from e2e.canary.boxes.catalogue import BOX_FAMILIES
from e2e.canary.boxes.mutants import CHANGES
from e2e.canary.boxes.world import WAYS, By
from e2e.canary.findings import read_findings
from e2e.canary.run import Told, list_surprises, say_tried
from e2e.world.need import need

ATTACKS = [attack for family in BOX_FAMILIES for attack in family.attacks]


@pytest.fixture(autouse=True)
def may_make_boxes() -> None:
    """Skip where there is nothing to make them."""
    need(run.why_not())


@pytest.mark.parametrize("family", BOX_FAMILIES, ids=lambda family: family.name)
def test_nothing_leaks_out_of_a_box(family: Family, told: Told) -> None:
    """No canary reaches a client or its workspace, nothing of the host changes or is left."""
    results = run.carry_out(family.attacks, by=WAYS[0])
    told(f"{family.name}, by {WAYS[0]}: {say_tried(results)}")
    assert list(list_surprises(results)) == []


@pytest.mark.parametrize("by", WAYS[1:], ids=str)
def test_nothing_leaks_out_of_boxes_that_are_made_in_other_ways(by: By, told: Told) -> None:
    """Those that work on such boxes alone, what once worked, and some of the others."""
    found = list(_list_found())
    chosen = [
        each
        for index, each in enumerate(ATTACKS)
        if index % 40 == 0
        or each in found
        or not run.applies(each, WAYS[0])
        or "device" in each.guard
    ]
    _expect_no_leak(chosen, by, told)


def _list_found() -> Iterator[Attack]:
    """The attacks on boxes that findings.toml names, of several with one name the first."""
    named = [
        (f"{family.name}: {each.name}", each) for family in BOX_FAMILIES for each in family.attacks
    ]
    for finding in read_findings():
        for trial in finding.tried_by:
            begin = trial.removesuffix("*")
            matching = (
                each
                for name, each in named
                if name == trial or (begin != trial and name.startswith(begin))
            )
            yield from list(matching)[:1]


@pytest.mark.nightly
@pytest.mark.parametrize("by", WAYS[1:], ids=str)
def test_nothing_leaks_out_of_any_box(by: By, told: Told) -> None:
    """Each attack, but for what is known to be left."""
    _expect_no_leak(ATTACKS, by, told)


def _expect_no_leak(attacks: list[Attack], by: By, told: Told) -> None:
    results = run.carry_out(attacks, by=by)
    told(f"by {by}: {say_tried(results)}")
    assert list(list_surprises(results)) == []


# Launchers without them are built from changed sources.
_MUTANTS = [f"box-{guard}" for guard in CHANGES]
_GUARDS = [
    pytest.param(guard, marks=pytest.mark.nightly) if guard in _MUTANTS else guard
    for guard in BOX_GUARANTEES
]


@pytest.mark.parametrize("guard", _GUARDS)
def test_attacks_work_where_their_guard_is_off(
    guard: str, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attack that could not succeed would test nothing."""
    # A race may be lost some hundred times in a row.
    monkeypatch.setenv("CANARY_TRIES", "250")
    by = next(way for way in WAYS if run.can_be_off(guard, way))
    chosen = select(ATTACKS, guard)[::6]
    assert chosen
    results = run.carry_out(chosen, by=by, without=guard)
    assert results
    told(f"without {guard}: {len(results)} attacks tried, all have to leak")
    assert [result.attack.name for result in results if not result.leaks] == []
