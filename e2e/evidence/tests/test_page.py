"""The record is of the attacks that there are, and the page is made of it."""

import pytest
from e2e.canary.boxes.world import WAYS
from e2e.canary.findings import CHECKOUT, read_findings
from e2e.canary.suites import SUITES, list_attacks
from e2e.evidence import record
from e2e.evidence.page import write_page

_RECORD = record.load()
_ATTACKS = {
    f"{family.name}: {attack.name}"
    for _, family, attack in list_attacks()
    if attack.tries and not attack.known
}


def test_the_page_is_what_is_made_of_the_record() -> None:
    """`./dev evidence` makes it."""
    assert (CHECKOUT / "docs/evidence.md").read_text(encoding="utf-8") == write_page(_RECORD)


def test_everything_with_an_id_is_recorded() -> None:
    """`./dev evidence --record PART` records what is new."""
    assert {*_RECORD["attacks"]} == _ATTACKS
    assert {*_RECORD["tests"]} == {*record.list_tests()}


def test_nothing_got_through_and_without_its_guard_everything_did() -> None:
    """A record of something else is a bug, and not to be published."""
    for kind in ("attacks", "guards"):
        got = [name for name, row in _RECORD[kind].items() if row.get("got")]
        assert got == []
        vain = [name for name, row in _RECORD[kind].items() if row.get("off") != row.get("off_got")]
        assert vain == []
    assert [name for name, row in _RECORD["hostile"].items() if row["got"]] == []
    assert [name for name, result in _RECORD["tests"].items() if result != "passed"] == []


@pytest.mark.parametrize("name", SUITES)
def test_the_counts_are_those_of_the_attacks(name: str) -> None:
    """A record of fewer, of more, or one that was written by hand, is not of this code."""
    attacks = [attack for suite, _, attack in list_attacks() if suite == name]
    # An attack out of boxes counts once in each way of making them that it is for.
    most = len(WAYS) if name == "boxes" else 1
    for guard in SUITES[name].guarantees:
        if (row := _RECORD["guards"].get(guard)) is None:
            continue
        mine = [each for each in attacks if each.guard == guard]
        known = sum(bool(each.known) for each in mine)
        without = sum(each.works_without for each in mine)
        counts = (len(mine) - known, known, without)
        found = (row["tried"], row["known"], row["off"])
        assert all(one <= other <= most * one for one, other in zip(counts, found, strict=True)), (
            guard
        )


def test_what_is_not_recorded_is_told() -> None:
    """Beside the guarantee, and no test is said to show what it has not."""
    text = write_page({})
    [first, *_] = text.split("### G2")
    assert "**Not recorded yet**, so that nothing here shows that it holds: `test_" in first
    assert "not recorded: it succeeds" not in text


def test_each_report_is_tried_with_the_guard_off() -> None:
    """By an attack that then succeeds, or by a test that shows it."""
    off = {
        name
        for _, family, attack in list_attacks()
        for name in attack.tries
        if _RECORD["attacks"].get(f"{family.name}: {attack.name}", {}).get("off_got")
    }
    reports = [each for each in read_findings() if each.id and not each.id.startswith("audit-")]
    assert [each.id for each in reports if each.id not in off and not each.without] == []
