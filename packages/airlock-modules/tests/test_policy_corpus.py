import json
from pathlib import Path

import msgspec

from airlock_modules import Grant, evaluate


class Case(msgspec.Struct):
    """One line of the corpus: a request, and what should be decided about it."""

    command: str
    args: list[str]
    expect: str


HERE = Path(__file__).parent
CASES = [
    msgspec.json.decode(line, type=Case)
    for line in (HERE / "policy_corpus.jsonl").read_text(encoding="utf-8").splitlines()
]
KNOWN = json.loads((HERE / "policy_known.json").read_text(encoding="utf-8"))


def misjudged(grant: Grant, expect: str) -> list[list[str]]:
    """Return the cases of one kind that the built-in modules decide differently."""
    return sorted(
        [case.command, *case.args]
        for case in CASES
        if case.expect == expect
        and evaluate(grant, case.command, case.args).allowed != (expect == "allowed")
    )


def test_the_evasions_that_pass_are_exactly_the_known_ones(builtin_grant: Grant) -> None:
    """A new hole fails, and so does a hole that was closed and not taken off the list."""
    assert misjudged(builtin_grant, "denied") == sorted(KNOWN["not_yet_denied"])


def test_the_everyday_commands_that_are_refused_are_exactly_the_known_ones(
    builtin_grant: Grant,
) -> None:
    """A rule that gets in the way fails, and so does an entry that is no longer true."""
    assert misjudged(builtin_grant, "allowed") == sorted(KNOWN["wrongly_denied"])


def test_the_two_figures_of_the_corpus(builtin_grant: Grant) -> None:
    """How many evasions are denied and how many everyday commands pass; both may only rise."""
    evasions = sum(case.expect == "denied" for case in CASES)
    everyday = sum(case.expect == "allowed" for case in CASES)
    denied = evasions - len(misjudged(builtin_grant, "denied"))
    allowed = everyday - len(misjudged(builtin_grant, "allowed"))
    print(f"evasions denied: {denied} of {evasions}; everyday allowed: {allowed} of {everyday}")
    assert (denied, evasions, allowed, everyday) == (188, 201, 93, 103)


def test_no_case_is_there_twice() -> None:
    """Each case counts once."""
    keys = [(case.command, *case.args) for case in CASES]
    assert len(keys) == len(set(keys))
