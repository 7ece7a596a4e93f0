"""What a run of several parts came to: read from pytest's reports, shown as one summary."""

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Outcome:
    """How one part of a run ended."""

    name: str
    verdict: Literal["passed", "failed", "skipped"]
    detail: str = ""
    skips: tuple[str, ...] = ()
    """The reason of each test that was skipped, one entry a test."""


@dataclass(frozen=True)
class Counts:
    """What a pytest report in JUnit's format holds."""

    passed: int
    failed: int
    skips: tuple[str, ...]

    def __str__(self) -> str:
        """Return the numbers as words; those that are zero are left out, except the passed ones."""
        parts = [f"{self.passed} passed"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.skips:
            parts.append(f"{len(self.skips)} skipped")
        return ", ".join(parts)


def read_counts(report: Path) -> Counts | None:
    """Return what a JUnit report counts, None where pytest did not get as far as writing one."""
    try:
        cases = list(ET.parse(report).iter("testcase"))  # noqa: S314 - our own pytest wrote it
    except (OSError, ET.ParseError):
        return None
    # Deselected and xfailed tests appear as "skipped" of another type or not at all.
    skips = tuple(
        skipped.get("message", "no reason given")
        for case in cases
        for skipped in case.findall("skipped")
        if skipped.get("type") == "pytest.skip"
    )
    failed = sum(
        1 for case in cases if case.find("failure") is not None or case.find("error") is not None
    )
    expected = sum(1 for case in cases if case.find("skipped") is not None)
    return Counts(passed=len(cases) - failed - expected, failed=failed, skips=skips)


def print_summary(title: str, outcomes: Sequence[Outcome]) -> int:
    """Print a line a part and the reasons of what was skipped; return the exit status, 0 or 1."""
    width = max(len(outcome.name) for outcome in outcomes)
    print(f"\n{title}")
    for outcome in outcomes:
        print(f"  {outcome.name:<{width}}  {outcome.verdict:<7}  {outcome.detail}".rstrip())
    reasons = Counter(reason for outcome in outcomes for reason in outcome.skips)
    if reasons:
        print("Tests that were skipped:")
        for reason, count in reasons.most_common():
            print(f"  {count} x {reason}")
    failed = [outcome.name for outcome in outcomes if outcome.verdict == "failed"]
    print(f"Failed: {', '.join(failed)}" if failed else "Nothing failed.", flush=True)
    return 1 if failed else 0
