"""What failures have in common: one cause for all that fail by the same fault.

The first line of a failure is taken, and what differs from case to case is left out of it: texts,
bytes, places in lists, seconds, and what only explains the line further.
"""

import re
from collections.abc import Iterable

from airlock_conformance.outcomes import Outcome
from airlock_conformance.violation import Violation

_MAX_LENGTH = 120
# The lines of `matching.differences`; what came is told where it is a number or a word.
_DIFFERENCE = re.compile(r"(?P<place>[\w.\[\] ]+): (?P<expected>expected .*), got (?P<got>.*)")
_MISSING = re.compile(r"(?P<place>[\w.\[\] ]+): missing, expected .*")
_TELLING = re.compile(r"-?\d+|'[\w-]{1,20}'|nothing|None|True|False")
_SHORT = re.compile(r"expected (one of )?[\w, \[\]-]{1,40}")
_TEXT = re.compile(r"""b?'(?:[^'\\]|\\.)*'|b?"(?:[^"\\]|\\.)*\"""")
_SECONDS = re.compile(r"(within|after|for) [\d.]+ s\b")


def cause_of(error: BaseException) -> str:
    """Return the cause of a failure, as one short line."""
    if not isinstance(error, Violation):
        return f"a fault of the suite: {type(error).__name__}"
    cause = error.cause or _shorten(str(error).partition("\n")[0])
    return cause if len(cause) <= _MAX_LENGTH else f"{cause[:_MAX_LENGTH]}..."


def group(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """Return the failed outcomes under their causes, the most frequent cause first.

    The checks of all messages and sessions are left out: the cases that made them fail are there.
    """
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.verdict == "failed" and outcome.role != "checks":
            found.setdefault(outcome.cause, []).append(outcome)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def _shorten(line: str) -> str:
    if missing := _MISSING.fullmatch(line):
        return f"{_place(missing)} is missing"
    if difference := _DIFFERENCE.fullmatch(line):
        return _describe(difference)
    line = _SECONDS.sub("in time", line.partition("; ")[0])
    if line.startswith("not a valid "):
        return line  # the words in quotes are names of members
    return _TEXT.sub("...", line).partition(" (")[0]


def _describe(difference: re.Match[str]) -> str:
    place, expected, got = _place(difference), difference["expected"], difference["got"]
    if not _TELLING.fullmatch(got):
        return f"{place} is another than expected"
    shown = expected if _SHORT.fullmatch(expected) else "expected something else"
    return f"{place}: {shown}, got {got}"


def _place(found: re.Match[str]) -> str:
    return re.sub(r"\[\d+\]", "[]", found["place"])
