"""How each case came out, and how many of a kind came out how."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from airlock_conformance.figures import Figures

NOT_JUDGED = "not judged: "
"""How the reason begins why a case was not run that says nothing about the implementation."""

Verdict = Literal["passed", "failed", "not run", "expected failure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one case; `detail` says why, where it did not pass, `cause` in one line."""

    case: str
    role: str
    reference: tuple[str, ...]
    description: str
    verdict: Verdict
    detail: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """All that a report tells of.

    `summaries` are what the requirements say, and `excuses` why no case checks some of them, by
    number. `made` says how often each check of messages and sessions was made, by the name of its
    outcome. `figures` are those of the policy vectors. `not_started` has what a daemon wrote that
    did not start, by its setup.
    """

    outcomes: Sequence[Outcome]
    summaries: Mapping[str, str]
    excuses: Mapping[str, str]
    made: Mapping[str, int]
    figures: Sequence[Figures] = ()
    not_started: Mapping[str, str] = field(default_factory=dict)
    base_only: bool = False


def by_reference(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """Return the outcomes under each requirement that they bear on, sorted by its name."""
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        for reference in outcome.reference:
            found.setdefault(reference, []).append(outcome)
    return dict(sorted(found.items()))


def by_role(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """Return the outcomes under their roles."""
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.role, []).append(outcome)
    return found


def list_not_judged(outcomes: Iterable[Outcome]) -> dict[str, str]:
    """Return why cases say nothing about this implementation, by the names of these."""
    return {
        outcome.case: outcome.detail.removeprefix(NOT_JUDGED)
        for outcome in outcomes
        if outcome.verdict == "not run" and outcome.detail.startswith(NOT_JUDGED)
    }


def count_verdicts(outcomes: Iterable[Outcome]) -> dict[Verdict, int]:
    """Return how many came out how; verdicts that none has are left out."""
    counts: dict[Verdict, int] = {}
    for outcome in outcomes:
        counts[outcome.verdict] = counts.get(outcome.verdict, 0) + 1
    return counts
