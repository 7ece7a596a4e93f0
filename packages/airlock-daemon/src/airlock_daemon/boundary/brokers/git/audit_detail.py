"""The outcome of a conversation with a remote, as the audit log and the client are told."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import replace

from airlock_daemon.boundary.audit_text import shorten
from airlock_daemon.boundary.brokers.git.rules import url_of, verb_of
from airlock_daemon.errors import AirlockError
from airlock_modules import PushList, Refusal, RemoteRequest, Update
from airlock_modules.operation import Operation

if TYPE_CHECKING:
    from airlock_modules.remotes.lfs import Wanted

# So many refs are named in the record; the rest is counted.
NAMED = 8


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a conversation.

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

    wanted: "Wanted"
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


_REF = 160
_ID = 7


def name_operation(asked: RemoteRequest, updates: Iterable[Update] = ()) -> Operation:
    """The operation; for a push, each ref with the beginnings of its old and new ids."""
    words = ["git", verb_of(asked), str(asked.destination)]
    for each in updates:
        words += [each.ref, f"{each.old[:_ID]}..{each.new[:_ID]}"]
    return Operation(tuple(words))


def describe(asked: RemoteRequest, outcome: Outcome, *, is_pinned: bool) -> dict[str, object]:
    """The `detail` of a `broker` record, of less than 3 KiB.

    `operation`, `destination` and `service` are always there; `unpinned` where no line of the
    profile names the place; of a push `refs`, each with `ref`, `old` and `new`, `more` for those
    that are not listed, and `bytes` for what went to the remote; of a fetch `received` for what
    came from there, null where that did not pass through the daemon.
    """
    detail: dict[str, object] = {
        "operation": shorten(name_operation(asked, outcome.first).line),
        "destination": shorten(url_of(asked)),
        "service": asked.service,
    }
    if not is_pinned:
        detail["unpinned"] = True
    if not asked.is_push:
        detail["received"] = outcome.received
    if outcome.count is None:
        return detail
    detail["refs"] = [
        {"ref": shorten(each.ref, most=_REF), "old": each.old, "new": each.new}
        for each in outcome.first
    ]
    if outcome.count > len(outcome.first):
        detail["more"] = outcome.count - len(outcome.first)
    detail["bytes"] = outcome.sent
    return detail


def describe_object(asked: RemoteRequest, outcome: LfsOutcome) -> dict[str, object]:
    """The `detail` of a `broker` record of one large file (Git LFS), of less than 3 KiB.

    Its operation is `git lfs upload PLACE OID SIZE`; `bytes` or `received` counts what was passed
    on.
    """
    wanted = outcome.wanted
    words = ("git", "lfs", wanted.operation, str(asked.destination), wanted.oid, str(wanted.size))
    return {
        "operation": shorten(Operation(words).line),
        "destination": shorten(url_of(asked)),
        "service": "git-lfs",
        "bytes" if wanted.operation == "upload" else "received": outcome.bytes,
    }
