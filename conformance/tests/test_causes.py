"""What failures have in common."""

import pytest

from airlock_conformance.causes import cause_of, group
from airlock_conformance.outcomes import Outcome
from airlock_conformance.violation import TimedOut, Violation


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("exit status: expected 126, got 1", "exit status: expected 126, got 1"),
        (
            "response.error: missing, expected {'code': -32600}\nresponse.id: expected 1, got 2",
            "response.error is missing",
        ),
        (
            "request.params.args[3]: expected 'x y z', got 'a much longer text than that'",
            "request.params.args[] is another than expected",
        ),
        ("stdout: expected b'a\\n', got b''", "stdout is another than expected"),
        (
            "exit status: expected one of [125, 126], got 1",
            "exit status: expected one of [125, 126], got 1",
        ),
        (
            "stdout b'on\\n' did not come within 20 s; so far: output {}",
            "stdout ... did not come in time",
        ),
        (
            "not a valid error message: $.error: 'data' is a required property (x.json); more",
            "not a valid error message: $.error: 'data' is a required property (x.json)",
        ),
        (
            "a line that is not JSON in UTF-8: b'x' (Expecting value)",
            "a line that is not JSON in UTF-8: ...",
        ),
        ("x" * 200, f"{'x' * 120}..."),
    ],
)
def test_what_differs_from_case_to_case_is_left_out(message: str, cause: str) -> None:
    """Texts, places and seconds are not part of a cause; short values are."""
    assert cause_of(Violation(message)) == cause


def test_a_failure_may_name_its_cause() -> None:
    """A cause that was given counts, and an error of another kind is the suite's own."""
    assert cause_of(TimedOut("anything", cause="it hangs")) == "it hangs"
    assert cause_of(KeyError("x")) == "a fault of the suite: KeyError"


def test_failures_stand_under_their_causes() -> None:
    """The most frequent comes first; what passed, and checks of all cases, are left out."""
    outcomes = [
        Outcome(
            case=f"{role}/{number}",
            role=role,
            reference=(),
            description="",
            verdict="failed" if cause else "passed",
            cause=cause,
        )
        for number, (role, cause) in enumerate(
            [("shim", "a"), ("daemon", "b"), ("checks", "b"), ("daemon", ""), ("shim", "b")]
        )
    ]
    found = {
        cause: [outcome.case for outcome in failed] for cause, failed in group(outcomes).items()
    }
    assert list(found.items()) == [("b", ["daemon/1", "shim/4"]), ("a", ["shim/0"])]
