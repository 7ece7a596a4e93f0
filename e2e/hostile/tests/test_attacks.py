"""Every attack, a family at a time."""

import pytest
from e2e.hostile.attack import Family
from e2e.hostile.campaign import Report, carry_out
from e2e.hostile.catalogue import FAMILIES


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_daemon_stands(family: Family, reports: list[Report]) -> None:
    """Each attack gets its answer, others are served meanwhile, and nothing is left behind."""
    report = carry_out(family)
    reports.append(report)
    assert report.faults == ()
    assert report.tried + len(report.untried) == len(family.attacks)


def test_no_attack_is_listed_twice() -> None:
    """Names tell attacks apart, in a report as anywhere."""
    names = [(family.name, attack.name) for family in FAMILIES for attack in family.attacks]
    assert len(set(names)) == len(names)
