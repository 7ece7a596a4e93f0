"""The results of a run of several parts: read from pytest's reports, shown as one summary."""

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Outcome:
    """The result of one part of a run."""

    name: str
    verdict: Literal["passed", "failed", "skipped"]
    detail: str = ""
    skips: tuple[str, ...] = ()
    """The reason of each skipped test, one entry per test."""
    flaky: tuple[str, ...] = ()
    """Each test that failed and passed when repeated, with its failure."""


@dataclass(frozen=True)
class Counts:
    """The tests of a pytest report in JUnit's format."""

    passed: frozenset[str]
    failures: Mapping[str, str]
    """The first line of each failure, by the test."""
    skips: tuple[str, ...]

    def __str__(self) -> str:
        """Return the numbers as words; zeros are omitted, except for passed tests."""
        parts = [f"{len(self.passed)} passed"]
        if self.failures:
            parts.append(f"{len(self.failures)} failed")
        if self.skips:
            parts.append(f"{len(self.skips)} skipped")
        return ", ".join(parts)


def read_counts(report: Path) -> Counts | None:
    """Return the counts of a JUnit report, None if pytest did not write one."""
    try:
        cases = list(ET.parse(report).iter("testcase"))  # noqa: S314 - our own pytest wrote it
    except (OSError, ET.ParseError):
        return None
    passed, failures, skips = set(), {}, []
    for case in cases:
        name = f"{case.get('classname')}::{case.get('name')}"
        fault = case.find("failure")
        if fault is None:
            fault = case.find("error")
        skipped = case.find("skipped")
        if fault is not None:
            failures[name] = fault.get("message", "").partition("\n")[0]
        elif skipped is None:
            passed.add(name)
        # Deselected and xfailed tests appear as "skipped" of another type or not at all.
        elif skipped.get("type") == "pytest.skip":
            skips.append(skipped.get("message", "no reason given"))
    # A test whose fixture fails after it has a second entry.
    return Counts(frozenset(passed - failures.keys()), failures, tuple(skips))


def print_summary(title: str, outcomes: Sequence[Outcome]) -> int:
    """Print a line per part and the reasons of skips; return the exit status, 0 or 1."""
    width = max(len(outcome.name) for outcome in outcomes)
    print(f"\n{title}")
    for outcome in outcomes:
        print(f"  {outcome.name:<{width}}  {outcome.verdict:<7}  {outcome.detail}".rstrip())
    reasons = Counter(reason for outcome in outcomes for reason in outcome.skips)
    if reasons:
        print("Tests that were skipped:")
        for reason, count in reasons.most_common():
            print(f"  {count} x {reason}")
    flaky = [f"{outcome.name}: {test}" for outcome in outcomes for test in outcome.flaky]
    if flaky:
        print("Passed only when run again (each is a bug of the test or of Airlock):")
        for test in flaky:
            print(f"  {test}")
    failed = [outcome.name for outcome in outcomes if outcome.verdict == "failed"]
    print(f"Failed: {', '.join(failed)}" if failed else "Nothing failed.", flush=True)
    return 1 if failed else 0
