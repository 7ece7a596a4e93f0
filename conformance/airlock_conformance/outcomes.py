"""How each case came out, as a table for people (Markdown) or programs (JSON)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from airlock_conformance.figures import Figures

Verdict = Literal["passed", "failed", "not run", "expected failure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one case; `detail` says why, where it did not pass."""

    case: str
    role: str
    reference: tuple[str, ...]
    description: str
    verdict: Verdict
    detail: str = ""


def write_report(
    path: Path,
    outcomes: Iterable[Outcome],
    excuses: Mapping[str, str],
    figures: Sequence[Figures] = (),
    made: Mapping[str, int] | None = None,
) -> None:
    """Write the outcomes: JSON if the name ends in ``.json``, else Markdown.

    `excuses` says of requirements why no case checks them; they stand in the table too. `figures`
    are those of the policy vectors. `made` says of the checks of messages and sessions, by the
    names of their outcomes, how often each was made.
    """
    write = _json if path.suffix == ".json" else _markdown
    path.write_text(write(list(outcomes), excuses, figures, made or {}))


def by_reference(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """Return the outcomes under each requirement that they bear on, sorted by its name."""
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        for reference in outcome.reference:
            found.setdefault(reference, []).append(outcome)
    return dict(sorted(found.items()))


def _json(
    outcomes: list[Outcome],
    excuses: Mapping[str, str],
    figures: Sequence[Figures],
    made: Mapping[str, int],
) -> str:
    document = {
        "summary": _counts(outcomes),
        "roles": _counts_by_role(outcomes),
        "checks": {
            item.case: {"made": made[item.case], "verdict": item.verdict}
            for item in outcomes
            if item.case in made
        },
        "policy": [asdict(row) for row in figures],
        "requirements": {
            reference: {outcome.case: outcome.verdict for outcome in listed}
            for reference, listed in by_reference(outcomes).items()
        },
        "excused": dict(excuses),
        "cases": [asdict(outcome) for outcome in outcomes],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _markdown(
    outcomes: list[Outcome],
    excuses: Mapping[str, str],
    figures: Sequence[Figures],
    made: Mapping[str, int],
) -> str:
    lines = ["# Conformance report", "", f"{_words(_counts(outcomes)) or 'no cases'}.", ""]
    lines += [f"- {role}: {_words(counts)}" for role, counts in _counts_by_role(outcomes).items()]
    checks = [item for item in outcomes if item.case in made]
    if checks:
        lines += ["", "| every message, every session | made | outcome |", "|---|---|---|"]
    lines += [f"| {item.description} | {made[item.case]} | {item.verdict} |" for item in checks]
    lines += ["", "| requirement | case | outcome |", "|---|---|---|"]
    for reference, listed in by_reference(outcomes).items():
        lines += [f"| {reference} | {item.case} | {item.verdict} |" for item in listed]
    lines += [
        f"| {reference} | none: {reason} | excused |" for reference, reason in excuses.items()
    ]
    if figures:
        lines += ["", "| policy | evasions denied | everyday commands allowed |", "|---|---|---|"]
    lines += [
        f"| {row.tool} | {row.denied} of {row.evasions} | {row.allowed} of {row.everyday} |"
        for row in figures
    ]
    failed = [outcome for outcome in outcomes if outcome.verdict == "failed"]
    for outcome in failed:
        lines += ["", f"## {outcome.case}", "", outcome.description, ""]
        lines += [f"    {line}" for line in outcome.detail.splitlines()]
    return "\n".join(lines) + "\n"


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {verdict}" for verdict, number in counts.items())


def _counts_by_role(outcomes: list[Outcome]) -> dict[str, dict[str, int]]:
    roles = dict.fromkeys(outcome.role for outcome in outcomes)
    return {role: _counts([item for item in outcomes if item.role == role]) for role in roles}


def _counts(outcomes: list[Outcome]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for outcome in outcomes:
        counts[outcome.verdict] = counts.get(outcome.verdict, 0) + 1
    return counts
