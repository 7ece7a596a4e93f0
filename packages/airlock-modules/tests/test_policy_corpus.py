from pathlib import Path

import msgspec

from airlock_modules import Grant, evaluate
from workspace_paths import passes


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


def is_allowed(grant: Grant, case: Case) -> bool:
    """Tell whether a case passes: its arguments, and its paths as a workspace would hold them."""
    return passes(evaluate(grant, case.command, case.args))


def misjudged(grant: Grant, expect: str) -> list[list[str]]:
    """Return the cases of one kind that the built-in modules decide differently."""
    return sorted(
        [case.command, *case.args]
        for case in CASES
        if case.expect == expect and is_allowed(grant, case) != (expect == "allowed")
    )


def test_every_evasion_is_denied_and_every_everyday_command_allowed(builtin_grant: Grant) -> None:
    """No case is judged wrongly, and none was lost from the corpus."""
    evasions = sum(case.expect == "denied" for case in CASES)
    everyday = sum(case.expect == "allowed" for case in CASES)
    denied = evasions - len(misjudged(builtin_grant, "denied"))
    allowed = everyday - len(misjudged(builtin_grant, "allowed"))
    print(f"evasions denied: {denied} of {evasions}; everyday allowed: {allowed} of {everyday}")
    assert misjudged(builtin_grant, "denied") == []
    assert misjudged(builtin_grant, "allowed") == []
    assert (evasions, everyday) == (198, 106)


def test_no_case_is_there_twice() -> None:
    """Each case counts once."""
    keys = [(case.command, *case.args) for case in CASES]
    assert len(keys) == len(set(keys))
