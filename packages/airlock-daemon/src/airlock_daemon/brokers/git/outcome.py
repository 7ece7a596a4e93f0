"""What became of a conversation with a remote."""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from airlock_daemon.errors import AirlockError
from airlock_modules import PushList, Refusal, RemoteRequest, Update
from airlock_modules.remotes.lfs import Wanted

# So many refs are named in the record; the rest is counted.
NAMED = 8


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a conversation.

    Of a push `count` is how many refs its client named, None where it named none, and `first` the
    first of them. `sent` counts the bytes of it that went to the remote, `received` those of a
    fetch that came from there, None where they did not pass through the daemon.
    """

    decision: Literal["allowed", "denied"]
    count: int | None = None
    first: tuple[Update, ...] = ()
    refusal: Refusal | None = None
    sent: int = 0
    received: int | None = None


Tell = Callable[[RemoteRequest, Outcome, bool], None]
"""Gets what became of a conversation, once, and whether the profile names the place."""


class LfsOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one object: `bytes` of it were passed on, `error` is why no more were.

    Without an error, and not `is_done`, the conversation ended in the middle of it.
    """

    wanted: Wanted
    bytes: int
    is_done: bool
    error: AirlockError | None = None


def listed(push: PushList) -> Outcome:
    """The outcome of a push that was read, and is not judged yet."""
    return Outcome(decision="denied", count=len(push.updates), first=push.updates[:NAMED])


def judged(outcome: Outcome, refusals: Sequence[Refusal]) -> Outcome:
    """The outcome of a push of which this is refused, and nothing was sent yet."""
    if refusals:
        return replace(outcome, refusal=refusals[0])
    return replace(outcome, decision="allowed")
