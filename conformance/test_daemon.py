"""The cases of a daemon: what it must answer on the wire."""

from airlock_conformance.cases import Case
from airlock_conformance.checks import Checks
from airlock_conformance.daemon_role import run_daemon_case
from airlock_conformance.daemons import Daemons
from airlock_conformance.rules_role import run_rules_case


def test_daemon(daemon_case: Case, daemons: Daemons, checks: Checks) -> None:
    """The daemon answers as the case expects, in messages of the protocol."""
    body = daemon_case.body
    with daemons.serving(body["setup"]) as (installation, seconds):
        run_daemon_case(body, installation, patience=seconds, checks=checks)


def test_rules(rules_case: Case, daemons: Daemons, checks: Checks) -> None:
    """The daemon decides each vector of the case as the rule semantics say."""
    with daemons.serving("rules") as (installation, seconds):
        run_rules_case(rules_case, installation, patience=seconds, checks=checks)
