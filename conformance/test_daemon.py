"""The cases of a daemon: what it must answer on the wire."""

from collections.abc import Callable

from airlock_conformance.cases import Case
from airlock_conformance.checks import Checks
from airlock_conformance.daemon_process import last_words
from airlock_conformance.daemon_role import run_daemon_case
from airlock_conformance.rules_role import run_rules_case
from airlock_conformance.setup import Installation
from airlock_conformance.violation import Violation


def test_daemon(
    daemon_case: Case,
    daemon_for: Callable[[str], Installation],
    patience: float,
    checks: Checks,
) -> None:
    """The daemon answers as the case expects, in messages of the protocol."""
    installation = daemon_for(daemon_case.body["setup"])
    try:
        run_daemon_case(daemon_case.body, installation, patience=patience, checks=checks)
    except Violation as violation:
        violation.add_note(last_words(installation))
        raise


def test_rules(
    rules_case: Case, daemon_for: Callable[[str], Installation], patience: float
) -> None:
    """The daemon decides each vector of the case as the rule semantics say."""
    run_rules_case(rules_case, daemon_for("rules"), patience=patience)
