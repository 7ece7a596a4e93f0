"""The record is of the attacks that there are, and the page is made of it."""

from e2e.canary.findings import CHECKOUT, read_findings
from e2e.canary.suites import list_attacks
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
