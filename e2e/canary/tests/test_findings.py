"""The attacks that others, audits and reviews have found: each is tried by what exists."""

import ast
from pathlib import Path

import pytest
from e2e.canary.attack import PROMISES
from e2e.canary.findings import CHECKOUT, Finding, read_findings, read_guarantees
from e2e.canary.suites import SUITES, Suite, list_attacks
from e2e.hostile.catalogue import FAMILIES as HOSTILE

_FINDINGS = read_findings()
_GUARANTEES = read_guarantees()
_NAMES = [f"{family.name}: {attack.name}" for _, family, attack in list_attacks()]
_TRIED = {each for _, _, attack in list_attacks() for each in attack.tries}


def _list_daily(path: Path) -> set[str]:
    """The tests of a file, without those that run at night alone."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and "mark.nightly" in ast.unparse(node):
            return set()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            marks = [ast.unparse(each) for each in node.decorator_list]
            found |= set() if "pytest.mark.nightly" in marks else {node.name}
    return found


def _is_there(trial: str) -> bool:
    path, _, test = trial.partition("::")
    if (CHECKOUT / path).is_file():
        return not test or test in _list_daily(CHECKOUT / path)
    if trial.endswith("*"):
        return any(name.startswith(trial[:-1]) for name in _NAMES)
    return trial in _NAMES


@pytest.mark.parametrize("finding", _FINDINGS, ids=lambda each: each.id or each.what)
def test_what_tries_it_exists(finding: Finding) -> None:
    """Attacks by their names, tests that run before each change, and files of cases."""
    trials = (*finding.tried_by, *finding.without)
    assert trials or finding.id in _TRIED
    assert [trial for trial in trials if not _is_there(trial)] == []


def test_attacks_try_findings_that_are_listed() -> None:
    """An id that nobody knows is a slip of the pen."""
    ids = [finding.id for finding in _FINDINGS if finding.id]
    assert len({*ids}) == len(ids)
    assert _TRIED - {*ids} == set()


def test_each_guarantee_is_tried() -> None:
    """By attacks or by tests; and what names a guarantee names one that is promised."""
    guards = {guard for suite in SUITES.values() for guard in suite.guarantees}
    assert {*PROMISES} <= guards
    promised = {*PROMISES.values(), *(family.promise for family in HOSTILE)}
    assert promised <= {*_GUARANTEES}
    for guarantee in _GUARANTEES.values():
        assert guarantee.tests or guarantee.id == "G4"
        assert [trial for trial in guarantee.tests if not _is_there(trial)] == []


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_no_attack_is_listed_twice(suite: Suite) -> None:
    """Names tell attacks apart, in a report as anywhere; each guard has attacks."""
    listed = [(family.name, each) for family in suite.families for each in family.attacks]
    assert len({(name, each.name, each.only) for name, each in listed}) == len(listed)
    assert {each.guard for _, each in listed} == {*suite.guarantees}


def test_no_attack_stands_there_twice() -> None:
    """Each finding without an id is in words of its own."""
    found = [finding.what for finding in _FINDINGS if not finding.id]
    assert len({*found}) == len(found)
