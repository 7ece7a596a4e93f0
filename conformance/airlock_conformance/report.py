"""The report of a run: one page for people (Markdown), everything for programs (JSON)."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

from airlock_conformance.causes import group
from airlock_conformance.outcomes import (
    Outcome,
    Run,
    Verdict,
    by_reference,
    by_role,
    count_verdicts,
    list_not_judged,
)

# What keeps the page one page: what is left out is counted, and is all in the JSON.
MAX_CAUSES: Final = 25
_MAX_REQUIREMENTS: Final = 15
_EXAMPLES: Final = 3

_VERDICTS: Final[tuple[Verdict, ...]] = ("passed", "failed", "expected failure", "not run")


def write_report(path: Path, run: Run) -> None:
    """Write the report of a run: JSON if the name ends in ``.json``, else Markdown."""
    path.write_text(_json(run) if path.suffix == ".json" else "\n".join(_page(run)) + "\n")


def list_causes(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Yield a line for each cause of failures: how many, by what, and examples."""
    for cause, failed in group(outcomes).items():
        yield f"{len(failed):5}  {cause} ({_examples(failed)})"


def list_excuses(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Yield a line for each reason why cases say nothing about the implementation."""
    for reason, number in Counter(list_not_judged(outcomes).values()).items():
        yield f"not judged: {number}, {reason}"


def _json(run: Run) -> str:
    document = {
        "base_only": run.base_only,
        "summary": count_verdicts(run.outcomes),
        "roles": {role: count_verdicts(listed) for role, listed in by_role(run.outcomes).items()},
        "causes": {
            cause: [outcome.case for outcome in failed]
            for cause, failed in group(run.outcomes).items()
        },
        "checks": {
            item.case: {"made": run.made[item.case], "verdict": item.verdict}
            for item in run.outcomes
            if item.case in run.made
        },
        "policy": [asdict(row) for row in run.figures],
        "not_judged": Counter(list_not_judged(run.outcomes).values()),
        "not_started": dict(run.not_started),
        "requirements": {
            reference: {outcome.case: outcome.verdict for outcome in listed}
            for reference, listed in by_reference(run.outcomes).items()
        },
        "excused": dict(run.excuses),
        "cases": [asdict(outcome) for outcome in run.outcomes],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _page(run: Run) -> Iterator[str]:
    counts = count_verdicts(run.outcomes)
    words = ", ".join(f"{counts[name]} {name}" for name in _VERDICTS if name in counts)
    yield from ("# Conformance report", "", f"{words or 'no cases'}.")
    if run.base_only:
        yield "Judged by the base of the protocol: no features, and errors by their code."
    yield from ("", f"| role | {' | '.join(_VERDICTS)} |", "|---|" + "---|" * len(_VERDICTS))
    for role, listed in by_role(run.outcomes).items():
        yield _row(role, *(count_verdicts(listed).get(name, 0) for name in _VERDICTS))
    for name, said in run.not_started.items():
        yield from ("", f"## The daemon did not start on the setup {name}", "")
        # Four spaces: whatever is in there, it ends no block.
        yield from (f"    {line}" for line in said.splitlines())
    yield from _causes(run)
    yield from _requirements(run)
    yield from _checks(run)
    if run.figures:
        heads = ("evasions denied", "everyday commands allowed", "harmless, allowed", "not judged")
        yield from ("", _row("policy", *heads), f"|---|{'---|' * len(heads)}")
    for row in run.figures:
        allowed = f"{row.allowed} of {row.everyday}", f"{row.let_be} of {row.harmless}"
        yield _row(row.tool, f"{row.denied} of {row.evasions}", *allowed, row.not_judged)
    for line in list_excuses(run.outcomes):
        yield from ("", f"{line[:1].upper()}{line[1:]}.")


def _causes(run: Run) -> Iterator[str]:
    causes = list(group(run.outcomes).items())
    if not causes:
        return
    yield from ("", "## Why cases failed", "", "| failed | cause | such as |", "|---|---|---|")
    for cause, failed in causes[:MAX_CAUSES]:
        yield _row(len(failed), _cell(cause), _examples(failed))
    rest = causes[MAX_CAUSES:]
    if rest:
        yield _row(sum(len(failed) for _, failed in rest), f"{len(rest)} other causes", "")


def _requirements(run: Run) -> Iterator[str]:
    judged = {
        reference: [outcome for outcome in listed if outcome.verdict != "not run"]
        for reference, listed in by_reference(run.outcomes).items()
        if reference in run.summaries
    }
    judged = {reference: listed for reference, listed in judged.items() if listed}
    failed = {
        reference: f"{sum(outcome.verdict == 'failed' for outcome in listed)} of {len(listed)}"
        for reference, listed in judged.items()
        if any(outcome.verdict == "failed" for outcome in listed)
    }
    yield from ("", "## Requirements", "")
    yield (
        f"{len(judged) - len(failed)} of {len(judged)} that were judged hold; "
        f"{len(run.summaries) - len(judged)} were not judged."
    )
    if failed:
        yield from ("", "| requirement | failed | what it says |", "|---|---|---|")
    for reference in list(failed)[:_MAX_REQUIREMENTS]:
        yield _row(reference, failed[reference], _cell(run.summaries[reference]))
    rest = list(failed)[_MAX_REQUIREMENTS:]
    if rest:
        yield _row(", ".join(rest), "", "")


def _checks(run: Run) -> Iterator[str]:
    checks = [outcome for outcome in run.outcomes if outcome.case in run.made]
    held = [outcome for outcome in checks if outcome.verdict == "passed"]
    if not checks:
        return
    yield from ("", "## Every message and session", "")
    yield f"{len(held)} checks held, made {sum(run.made[item.case] for item in held):,} times."
    failed = [outcome for outcome in checks if outcome.verdict == "failed"]
    if failed:
        yield from ("", "| check | made | outcome |", "|---|---|---|")
    for outcome in failed:
        yield _row(outcome.description, run.made[outcome.case], outcome.verdict)


def _examples(failed: list[Outcome]) -> str:
    return ", ".join(outcome.case for outcome in failed[:_EXAMPLES])


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _cell(text: str) -> str:
    """Return text as it may stand in a cell of a table."""
    return text.replace("|", "\\|").replace("<", "&lt;")
