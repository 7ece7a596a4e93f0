"""The questions that wait for a person: a state machine without I/O or a clock.

These rules are kept:

- A question is about one operation of one agent, by value. Its id is random and is never used for
  another one. An answer names the id, and an approval also the digest of the value and the number
  of requests that the person was shown.
- Equal operations share a question. An approval lets through as many of the waiting requests as
  were shown, at least one; others wait on, as a new question.
- If nobody waits any more, the answer is kept for `KEPT_S` seconds. The next equal request takes an
  approval, and uses it up. A rejection is repeated for as long.
- An approval for a duration covers later requests with the same values, or for a push the same
  refs, until it ends.
- A question without an answer ends at its deadline. Nothing is remembered of it.
- An agent has at most `MAX_OPEN` open questions.

The caller passes the time, in seconds of one steady clock, and calls `expire` at the time that
`next_deadline` returns.
"""

import hashlib
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec
from msgspec.structs import replace

from airlock_daemon.errors import AirlockError, Denied
from airlock_modules.operation import Operation
from airlock_wire import quote

MAX_OPEN = 4
"""The most open questions of an agent."""
KEPT_S = 15 * 60.0
"""Seconds for which an answer waits for an equal request."""
MAX_LASTING_S = 24 * 3600.0
"""The longest duration of an approval."""

# Without vowels, and without letters and digits that look alike.
_LETTERS = "23456789BCDFGHJKMNPQRSTVWXYZ"
_LENGTH = 6
_REMEMBERED = 100_000

# Letters of a reason that a client is told.
_REASON = 300


class ApprovalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One operation that a person is asked about.

    `details` are pairs of a label and a text. They are shown, and with the operation's words they
    are the value to which the answer is bound. `forms` are all operations, by their words, that the
    request may amount to, for patterns. `scope` are the values that an approval for a duration
    covers, each a text; without any there is none. `note` says what the answer does not cover.
    """

    operation: Operation
    details: tuple[tuple[str, str], ...] = ()
    forms: tuple[tuple[str, ...], ...] = ()
    scope: tuple[str, ...] = ()
    note: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the value, in hexadecimal."""
        words = self.operation.words
        texts = (str(len(words)), *words, *(text for pair in self.details for text in pair))
        hashed = hashlib.sha256()
        for text in texts:
            data = text.encode("utf-8", "surrogatepass")
            hashed.update(len(data).to_bytes(8, "big") + data)
        return hashed.hexdigest()

    @property
    def lasting(self) -> "ApprovalRequest":
        """The same operation, which may be approved for a duration by its whole value."""
        return replace(self, scope=(self.digest,))


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """An open question. `began` and `ends` are on the caller's clock, in seconds.

    `client` is who asked first, in a few words. `pattern` is the line of `[approve] require` that
    asks. `waiting` is the number of requests that
    wait for the answer.
    """

    id: str
    agent: str
    asked: ApprovalRequest
    digest: str
    client: str = ""
    pattern: str
    began: float
    ends: float
    waiting: int = 0


Verdict = Literal["approved", "rejected", "silence", "withdrawn"]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How a question ended. `by` is who answered; `reason` is why it was rejected or withdrawn."""

    id: str
    verdict: Verdict
    by: str = ""
    reason: str = ""


class Rejected(Denied):
    """A person has rejected an operation, by this `answer`."""

    def __init__(self, answer: Answer) -> None:
        because = f": {quote(answer.reason, limit=_REASON)}" if answer.reason else ""
        super().__init__(
            f"a person on the host has rejected it (approval {answer.id}){because}",
            layer="profile",
            rule="approve",
            hint="do not try it again before that person has said so",
        )
        self.answer = answer


class Ticket:
    """One request's wait. `answer` is None until it is settled; `wake` is called then.

    `question` changes if the request goes on waiting as another question.
    """

    def __init__(self, question: Question | None, wake: Callable[[], None]) -> None:
        self.question = question
        self.answer: Answer | None = None
        self._wake = wake

    def settle(self, answer: Answer) -> None:
        """Set the answer."""
        self.answer = answer
        self._wake()

    def move(self, question: Question) -> None:
        """Wait for another question's answer from now on."""
        self.question = question
        self._wake()


class TooManyQuestions(Exception):
    """The agent has `MAX_OPEN` open questions."""


class _Open:
    """An open question, and the requests that wait for it, the first one first."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.tickets: list[Ticket] = []

    def show(self) -> Question:
        return replace(self.question, waiting=len(self.tickets))


class _StoredAnswer(msgspec.Struct, frozen=True):
    """An answer that nobody took yet, or a rejection, until a time."""

    answer: Answer
    until: float


_Key = tuple[str, str]
"""An agent's name, and a digest or one text of a scope."""


class Questions:
    """All questions of a daemon."""

    def __init__(self) -> None:
        self._open: dict[_Key, _Open] = {}
        self._kept: dict[_Key, _StoredAnswer] = {}
        self._standing: dict[_Key, _StoredAnswer] = {}
        self._used: set[str] = set()
        self._oldest: deque[str] = deque()

    def ask(
        self,
        asked: ApprovalRequest,
        *,
        agent: str,
        client: str = "",
        pattern: str,
        wait_s: float,
        now: float,
        wake: Callable[[], None],
    ) -> Ticket:
        """Ask about an operation, unless an answer is there; the ticket is then settled.

        The caller calls `stop_waiting` when it does not wait any more. Raises TooManyQuestions.
        """
        self.expire(now)
        key = (agent, asked.digest)
        answer = self._find_answer(asked, key)
        if answer is not None:
            ticket = Ticket(None, wake)
            ticket.answer = answer
            return ticket
        opened = self._open.get(key)
        if opened is None:
            if sum(1 for name, _ in self._open if name == agent) >= MAX_OPEN:
                raise TooManyQuestions
            opened = self._begin(
                Question(
                    id=self._make_id(),
                    agent=agent,
                    asked=asked,
                    digest=asked.digest,
                    client=client,
                    pattern=pattern,
                    began=now,
                    ends=now + wait_s,
                )
            )
        ticket = Ticket(opened.question, wake)
        opened.tickets.append(ticket)
        return ticket

    def stop_waiting(self, ticket: Ticket) -> None:
        """A request does not wait any more; its question stays until it ends."""
        if ticket.question is None:
            return
        opened = self._open.get((ticket.question.agent, ticket.question.digest))
        if opened is not None and ticket in opened.tickets:
            opened.tickets.remove(ticket)

    def approve(
        self,
        wanted: str,
        digest: str,
        *,
        waiting: int,
        by: str,
        now: float,
        for_s: float | None = None,
    ) -> Question:
        """Approve the question `wanted`; returns it.

        `digest` is that of the value which the person has seen, `waiting` the number of requests.
        `for_s` also covers later requests, for that many seconds. Raises AirlockError, with nothing
        changed, if there is no such question, or its value is another one.
        """
        opened = self._find(wanted, now)
        question = opened.question
        if question.digest != digest:
            raise AirlockError(
                f"{wanted} is about another operation than the one that was shown",
                hint="look at it again: airlock pending",
            )
        scope = question.asked.scope
        if for_s is not None:
            if not scope:
                raise AirlockError(
                    f"{wanted} can be approved once only",
                    hint=f"leave --for out: airlock approve {wanted}",
                )
            if not 0 < for_s <= MAX_LASTING_S:
                raise AirlockError(
                    f"an approval lasts more than 0 s and at most {MAX_LASTING_S / 3600:g} h",
                    hint=f"choose a duration like 10m: airlock approve {wanted} --for 10m",
                )
        answer = Answer(id=question.id, verdict="approved", by=by)
        shown = opened.show()
        key = (question.agent, question.digest)
        del self._open[key]
        if for_s is not None:
            for text in scope:
                self._standing[question.agent, text] = _StoredAnswer(answer, now + for_s)
            waiting = len(opened.tickets)
        # One that nobody was waiting for when it was shown lets its next try through.
        most = max(waiting, 1)
        let, others = opened.tickets[:most], opened.tickets[most:]
        if not opened.tickets and for_s is None:
            self._kept[key] = _StoredAnswer(answer, now + KEPT_S)
        if others:
            # They came after the person had looked.
            again = self._begin(replace(question, id=self._make_id(), began=now))
            again.tickets = others
            for ticket in others:
                ticket.move(again.question)
        _settle(let, answer)
        return shown

    def reject(self, wanted: str, *, by: str, now: float, reason: str = "") -> Question:
        """Reject the question `wanted`; returns it. Raises AirlockError if there is none."""
        opened = self._find(wanted, now)
        question = opened.question
        answer = Answer(id=question.id, verdict="rejected", by=by, reason=reason)
        key = (question.agent, question.digest)
        shown = opened.show()
        del self._open[key]
        self._kept[key] = _StoredAnswer(answer, now + KEPT_S)
        _settle(opened.tickets, answer)
        return shown

    def withdraw(self, agent: str | None, *, reason: str) -> None:
        """End all questions and answers of an agent, or of all with None."""
        gone = [key for key in self._open if agent in (None, key[0])]
        for opened in [self._open.pop(key) for key in gone]:
            answer = Answer(id=opened.question.id, verdict="withdrawn", reason=reason)
            _settle(opened.tickets, answer)
        for answers in (self._kept, self._standing):
            for key in [key for key in answers if agent in (None, key[0])]:
                del answers[key]

    def expire(self, now: float) -> None:
        """End the questions whose time is over, and forget old answers."""
        over = [key for key, opened in self._open.items() if opened.question.ends <= now]
        for opened in [self._open.pop(key) for key in over]:
            _settle(opened.tickets, Answer(id=opened.question.id, verdict="silence"))
        for answers in (self._kept, self._standing):
            for key in [key for key, kept in answers.items() if kept.until <= now]:
                del answers[key]

    @property
    def next_deadline(self) -> float | None:
        """When the next question ends; None if there are none."""
        return min((opened.question.ends for opened in self._open.values()), default=None)

    def list_open(self, now: float) -> tuple[Question, ...]:
        """The open questions, the oldest first."""
        self.expire(now)
        return tuple(sorted((each.show() for each in self._open.values()), key=_began))

    def _find_answer(self, asked: ApprovalRequest, key: _Key) -> Answer | None:
        agent, _ = key
        kept = self._kept.get(key)
        if kept is not None:
            if kept.answer.verdict == "approved":
                del self._kept[key]
            return kept.answer
        standing = [self._standing.get((agent, text)) for text in asked.scope]
        if standing and None not in standing:
            return next(each.answer for each in standing if each is not None)
        return None

    def _find(self, wanted: str, now: float) -> _Open:
        self.expire(now)
        for opened in self._open.values():
            if opened.question.id == wanted:
                return opened
        raise AirlockError(
            f"no question {quote(wanted, limit=40)} waits for an answer",
            hint="it was answered, or its time is over; see: airlock pending",
        )

    def _begin(self, question: Question) -> _Open:
        opened = self._open[question.agent, question.digest] = _Open(question)
        return opened

    def _make_id(self) -> str:
        while True:
            made = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
            if made not in self._used:
                break
        self._used.add(made)
        self._oldest.append(made)
        if len(self._oldest) > _REMEMBERED:
            self._used.discard(self._oldest.popleft())
        return made


def _began(question: Question) -> float:
    return question.began


def _settle(tickets: Iterable[Ticket], answer: Answer) -> None:
    for ticket in tickets:
        ticket.settle(answer)
