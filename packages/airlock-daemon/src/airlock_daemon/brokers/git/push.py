"""The list of refs of a push, from a client's bytes to the judgement over it."""

from collections.abc import Awaitable, Callable, Iterator, Sequence

from airlock_daemon.brokers.git.rules import find_granted, judge_as_git, url_of
from airlock_daemon.brokers.requester import Requester
from airlock_daemon.errors import Denied
from airlock_daemon.fairness.gate import Gate
from airlock_daemon.fairness.turns import Turns
from airlock_daemon.setup.generation import Generation
from airlock_daemon.setup.remotes import BROKER
from airlock_modules import (
    PushList,
    PushReader,
    Refusal,
    RemoteError,
    RemoteRequest,
    evaluate,
    judge_push,
)
from airlock_wire import quote

# What a list of refs takes in memory is fewer than so many times its bytes.
GROWTH = 8
# So many of its refs are judged at once.
PART = 50


class Held:
    """Counts what is held of a client's bytes; its owner must `release` it."""

    def __init__(self, gate: Gate) -> None:
        """`gate` is that of the agent, which bounds all of them together."""
        self._gate = gate
        self._count = 0

    def add(self, count: int) -> None:
        """Hold so many bytes more. Raises RemoteError where the agent has too much under way."""
        if not self._gate.hold(count):
            raise RemoteError("too much of this agent's requests is under way", rule="size")
        self._count += count

    def release(self) -> None:
        """Hold none of them any more."""
        self._gate.release(self._count)
        self._count = 0


async def read_list(
    read: Callable[[], Awaitable[bytes]], held: Held
) -> tuple[PushList | None, bytes]:
    """Read the list, None where the client ends without one; with all bytes that came.

    `read` gives the client's next bytes, b"" at the end. Raises RemoteError for what is no list.
    """
    reader = PushReader()
    push: PushList | None = None
    while push is None and (data := await read()):
        # What is read of it takes some times as much.
        held.add(GROWTH * len(data))
        push = reader.feed(data)
    return push, reader.held


async def judge(push: PushList, asked: RemoteRequest, requester: Requester) -> list[Refusal]:
    """Say what is refused of a push, by the grant and by git's own rules.

    A client may let any time pass before it sends its list, and what was narrowed meanwhile counts
    too.
    """
    refusals = await _judge(push, asked, requester.generation, requester.turns)
    current = requester.current
    if not refusals and current is not requester.generation:
        refusals = _judge_place(asked, current)
        refusals += await _judge(push, asked, current, requester.turns)
    return refusals


def _judge_place(asked: RemoteRequest, generation: Generation) -> list[Refusal]:
    decision = evaluate(generation.grant, BROKER, ())
    if not decision.allowed:
        return [Refusal(ref=None, rule=decision.rule or "command", problem=decision.message)]
    try:
        find_granted(asked, generation)
    except Denied as error:
        return [Refusal(ref=None, rule=error.rule or "place", problem=error.message)]
    return []


async def _judge(
    push: PushList, asked: RemoteRequest, generation: Generation, turns: Turns
) -> list[Refusal]:
    refusals: list[Refusal] = []
    for found in judge_by(generation, push, asked):
        refusals += found
        await turns.take()
    return refusals


def judge_by(
    generation: Generation, push: PushList, asked: RemoteRequest
) -> Iterator[Sequence[Refusal]]:
    """Say what one grant and git's own rules refuse of a push, in parts that take short each."""
    is_refused = False
    for part in push.split(PART):
        refusals = judge_push(generation.agent.profile.git, part)
        is_refused = is_refused or bool(refusals)
        yield refusals
    for update in () if is_refused else push.updates:
        flags = ("--delete",) if update.is_deletion else ()
        try:
            judge_as_git(("push", *flags, url_of(asked), update.ref), generation)
        except Denied as error:
            yield (Refusal(ref=update.ref, rule=error.rule or "rules", problem=error.message),)
        else:
            yield ()


def cannot_tell(refusal: Refusal) -> Denied:
    """The refusal of a push whose client has not agreed on a report."""
    named = "" if refusal.ref is None else f"{quote(refusal.ref, limit=80)}: "
    return Denied(
        f"the push is refused: {named}{refusal.problem}",
        layer="broker",
        rule=refusal.rule,
        hint="this git has not asked its remote to say more",
    )
