"""Tests of `airlock_daemon.boundary.approval.questions`, with a clock of their own."""

import pytest
from msgspec.structs import replace

from airlock_daemon.boundary.approval.questions import (
    KEPT_S,
    MAX_OPEN,
    ApprovalRequest,
    Questions,
    Ticket,
    TooManyQuestions,
)
from airlock_daemon.errors import AirlockError
from airlock_modules.operation import Operation

WAIT_S = 300.0


def about(*words: str, body: str = "", scope: tuple[str, ...] = ("x",)) -> ApprovalRequest:
    return ApprovalRequest(operation=Operation(words), details=(("body", body),), scope=scope)


PUSH = about("git", "push", "h/a", "refs/heads/x", "1..2")


class Daemon:
    """The questions, and the requests that were woken."""

    def __init__(self) -> None:
        self.questions = Questions()
        self.woken = 0

    def ask(self, asked: ApprovalRequest = PUSH, *, agent: str = "my", now: float = 0) -> Ticket:
        """Ask about an operation."""
        return self.questions.ask(
            asked, agent=agent, pattern="*", wait_s=WAIT_S, now=now, wake=self._wake
        )

    def approve(self, now: float = 1, *, for_s: float | None = None, waiting: int = 1) -> str:
        """Approve the only question."""
        (question,) = self.questions.list_open(now)
        self.questions.approve(
            question.id, question.digest, waiting=waiting, by="me", now=now, for_s=for_s
        )
        return question.id

    def reject(self, now: float = 1) -> str:
        """Reject the only question."""
        (question,) = self.questions.list_open(now)
        self.questions.reject(question.id, by="me", now=now, reason="not today")
        return question.id

    def _wake(self) -> None:
        self.woken += 1


def verdict_of(ticket: Ticket) -> str | None:
    return None if ticket.answer is None else ticket.answer.verdict


def test_a_request_waits_for_the_answer_to_its_question() -> None:
    """It learns who answered."""
    daemon = Daemon()
    ticket = daemon.ask()
    assert ticket.answer is None
    answered = daemon.approve()
    assert daemon.woken == 1
    assert ticket.answer is not None
    assert (ticket.answer.id, ticket.answer.verdict, ticket.answer.by) == (
        answered,
        "approved",
        "me",
    )
    assert not daemon.questions.list_open(1)


def test_an_approval_is_used_up() -> None:
    """The next equal request is asked about again."""
    daemon = Daemon()
    daemon.ask()
    daemon.approve()
    assert daemon.ask(now=2).answer is None


def test_an_approval_waits_for_a_client_that_had_gone() -> None:
    """Its next try takes it, once."""
    daemon = Daemon()
    daemon.questions.stop_waiting(daemon.ask())
    daemon.approve(now=1, waiting=0)
    assert verdict_of(daemon.ask(now=KEPT_S)) == "approved"
    assert daemon.ask(now=KEPT_S).answer is None


def test_an_approval_counts_for_a_try_that_came_back_meanwhile() -> None:
    """Nobody was waiting when it was shown, and one is when it is answered."""
    daemon = Daemon()
    daemon.questions.stop_waiting(daemon.ask())
    again = daemon.ask(now=0.5)
    daemon.approve(now=1, waiting=0)
    assert verdict_of(again) == "approved"
    assert not daemon.questions.list_open(1)
    assert daemon.ask(now=2).answer is None


def test_an_unused_approval_is_forgotten() -> None:
    daemon = Daemon()
    daemon.questions.stop_waiting(daemon.ask())
    daemon.approve(now=1)
    assert daemon.ask(now=1 + KEPT_S).answer is None


def test_a_rejection_is_repeated() -> None:
    """So an agent does not ask until somebody gives in."""
    daemon = Daemon()
    ticket = daemon.ask()
    daemon.reject(now=1)
    assert verdict_of(ticket) == "rejected"
    assert ticket.answer is not None
    assert ticket.answer.reason == "not today"
    assert [verdict_of(daemon.ask(now=2)) for _ in range(3)] == ["rejected"] * 3
    assert daemon.ask(now=1 + KEPT_S).answer is None


def test_silence_refuses_and_is_forgotten() -> None:
    """The deadline is that of the first request."""
    daemon = Daemon()
    ticket = daemon.ask(now=0)
    late = daemon.ask(now=WAIT_S - 1)
    assert daemon.questions.next_deadline == WAIT_S
    daemon.questions.expire(WAIT_S)
    assert [verdict_of(each) for each in (ticket, late)] == ["silence"] * 2
    assert daemon.questions.next_deadline is None
    assert daemon.ask(now=WAIT_S).answer is None


@pytest.mark.parametrize(
    "other",
    [
        about("git", "push", "h/a", "refs/heads/x", "1..3"),
        about("git", "push", "h/a", "refs/heads/x 1..2"),
        replace(PUSH, details=(("body", "x"),)),
        replace(PUSH, details=(("bodyx", ""),)),
        replace(PUSH, details=(("body", ""), ("", ""))),
        replace(PUSH, operation=Operation((*PUSH.operation.words, "body", ""))),
    ],
)
def test_an_answer_is_bound_to_the_value(other: ApprovalRequest) -> None:
    """Whatever differs is another question, and takes no answer of the first."""
    daemon = Daemon()
    daemon.questions.stop_waiting(daemon.ask(PUSH))
    daemon.approve(waiting=0)
    assert other.digest != PUSH.digest
    assert daemon.ask(other, now=2).answer is None


def test_an_approval_of_another_value_than_was_shown_changes_nothing() -> None:
    daemon = Daemon()
    ticket = daemon.ask()
    (question,) = daemon.questions.list_open(0)
    with pytest.raises(AirlockError, match="another operation"):
        daemon.questions.approve(question.id, "0" * 64, waiting=1, by="me", now=1)
    assert ticket.answer is None
    assert daemon.questions.list_open(1) == (question,)


def test_agents_share_no_question() -> None:
    daemon = Daemon()
    mine, other = daemon.ask(), daemon.ask(agent="other")
    question = next(each for each in daemon.questions.list_open(0) if each.agent == "my")
    daemon.questions.approve(question.id, question.digest, waiting=1, by="me", now=1)
    assert (verdict_of(mine), verdict_of(other)) == ("approved", None)


def test_equal_requests_share_a_question() -> None:
    """All of those that the person has seen are let through."""
    daemon = Daemon()
    tickets = [daemon.ask() for _ in range(3)]
    (question,) = daemon.questions.list_open(0)
    assert question.waiting == 3
    daemon.approve(waiting=3)
    assert [verdict_of(each) for each in tickets] == ["approved"] * 3


def test_requests_that_the_person_has_not_seen_wait_on() -> None:
    """As a new question; one look approves no flood."""
    daemon = Daemon()
    tickets = [daemon.ask() for _ in range(3)]
    first = daemon.approve(waiting=1)
    assert [verdict_of(each) for each in tickets] == ["approved", None, None]
    (again,) = daemon.questions.list_open(1)
    assert again.id != first
    assert again.waiting == 2
    assert all(each.question is not None and each.question.id == again.id for each in tickets[1:])


def test_an_approval_for_a_duration_covers_its_scope() -> None:
    """Other values of the same ref too, until it ends."""
    daemon = Daemon()
    ticket = daemon.ask()
    daemon.approve(now=0, for_s=600)
    assert verdict_of(ticket) == "approved"
    same_ref = about("git", "push", "h/a", "refs/heads/x", "2..3")
    assert [verdict_of(daemon.ask(same_ref, now=599)) for _ in range(2)] == ["approved"] * 2
    two_refs = about("git", "push", "h/a", "refs/heads/x", "refs/heads/y", scope=("x", "y"))
    assert daemon.ask(two_refs, now=1).answer is None
    assert daemon.ask(same_ref, now=599, agent="other").answer is None
    assert daemon.ask(same_ref, now=600).answer is None


def test_what_has_no_scope_is_approved_once_only() -> None:
    """Such as a signature."""
    daemon = Daemon()
    ticket = daemon.ask(about("sign", "git", "commit", scope=()))
    with pytest.raises(AirlockError, match="once only"):
        daemon.approve(for_s=600)
    assert ticket.answer is None


@pytest.mark.parametrize("duration", [0, -1, 25 * 3600, float("nan")])
def test_an_approval_does_not_last_for_ever(duration: float) -> None:
    daemon = Daemon()
    daemon.ask()
    with pytest.raises(AirlockError, match="at most"):
        daemon.approve(for_s=duration)


def test_an_agent_has_few_questions() -> None:
    """One more is refused; what is asked already is not."""
    daemon = Daemon()
    asked = [about("run", str(number)) for number in range(MAX_OPEN)]
    for each in asked:
        daemon.ask(each)
    with pytest.raises(TooManyQuestions):
        daemon.ask(about("run", "more"))
    assert daemon.ask(asked[0]).answer is None
    assert daemon.ask(about("run", "more"), agent="other").answer is None
    daemon.questions.expire(WAIT_S)
    assert daemon.ask(about("run", "more"), now=WAIT_S).answer is None


def test_ids_are_random_and_never_used_again() -> None:
    daemon = Daemon()
    ids = set()
    for number in range(1000):
        daemon.ask(about("run", str(number)), now=number)
        ids.add(daemon.reject(now=number))
    assert len(ids) == 1000
    assert not any(set(each) & set("01OIL") for each in ids)


def test_an_answered_question_takes_no_other_answer() -> None:
    daemon = Daemon()
    daemon.ask()
    answered = daemon.approve()
    with pytest.raises(AirlockError, match="no question"):
        daemon.questions.reject(answered, by="me", now=2)


def test_questions_of_a_removed_agent_are_withdrawn() -> None:
    """So are its answers."""
    daemon = Daemon()
    mine, other = daemon.ask(), daemon.ask(agent="other")
    daemon.ask(about("run", "y", scope=("y",)))
    question = next(each for each in daemon.questions.list_open(0) if each.asked != PUSH)
    daemon.questions.approve(question.id, question.digest, waiting=1, by="me", now=0, for_s=600)
    daemon.questions.withdraw("my", reason="the agent was removed")
    assert (verdict_of(mine), verdict_of(other)) == ("withdrawn", None)
    assert daemon.ask(about("run", "y", scope=("y",))).answer is None
