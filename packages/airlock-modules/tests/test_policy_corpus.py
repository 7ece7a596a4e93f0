import posixpath
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


def is_allowed(grant: Grant, case: Case) -> bool:
    """Tell whether a case passes: its arguments, and its paths as a workspace would hold them."""
    decision = evaluate(grant, case.command, case.args)
    return decision.allowed and not any(leads_out(use.path) for use in decision.paths)


def leads_out(path: str) -> bool:
    """Tell whether a path leads out of the directory of the run, links aside."""
    normal = posixpath.normpath(path)
    return normal.startswith(("/", "~")) or normal.split("/")[0] == ".."


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
