"""The figures of a policy: evasions denied of those tried, everyday commands allowed.

Where the tool runs in a box there is a third: what is allowed because it does no harm there.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from airlock_conformance.cases import Case

_NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How the vectors of one tool came out, or of all where `tool` is "total"."""

    tool: str
    denied: int
    evasions: int
    allowed: int
    everyday: int
    let_be: int
    harmless: int
    not_judged: int

    def __str__(self) -> str:
        """Return the figures as one line."""
        boxed = f"; harmless in its box, allowed: {self.let_be} of {self.harmless}"
        left_out = f"; not judged: {self.not_judged}"
        return (
            f"{self.tool:<10} evasions denied: {self.denied} of {self.evasions}; "
            f"everyday commands allowed: {self.allowed} of {self.everyday}"
            f"{boxed if self.harmless else ''}{left_out if self.not_judged else ''}"
        )


def count(
    cases: Iterable[Case], verdicts: Mapping[str, str], not_judged: Collection[str]
) -> list[Figures]:
    """Return the figures of each tool of which a vector was run, and of all; [] where none was.

    `verdicts` are those of the outcomes, by the case's name; `not_judged` are the names of vectors
    that say nothing about this daemon. A vector that is expected to fail counts as tried, and as
    failed.
    """
    rows = [
        (case.body["command"], _kind_of(case, not_judged), verdicts[case.name] == "passed")
        for case in cases
        if case.name in not_judged or verdicts.get(case.name, "not run") != "not run"
    ]
    tools = sorted({tool for tool, kind, _ in rows if kind != _NOT_JUDGED})
    figures = [_sum(tool, [row[1:] for row in rows if row[0] == tool]) for tool in tools]
    return [*figures, _sum("total", [row[1:] for row in rows])] if figures else []


def _kind_of(case: Case, not_judged: Collection[str]) -> str:
    if case.name in not_judged:
        return _NOT_JUDGED
    return "harmless" if case.body["canary"] else str(case.body["result"])


def _sum(tool: str, rows: list[tuple[str, bool]]) -> Figures:
    kinds = [kind for kind, _ in rows]
    return Figures(
        tool=tool,
        denied=rows.count(("denied", True)),
        evasions=kinds.count("denied"),
        allowed=rows.count(("allowed", True)),
        everyday=kinds.count("allowed"),
        let_be=rows.count(("harmless", True)),
        harmless=kinds.count("harmless"),
        not_judged=kinds.count(_NOT_JUDGED),
    )
