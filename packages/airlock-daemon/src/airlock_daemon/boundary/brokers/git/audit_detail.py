"""The outcome of a conversation with a remote, for the audit log and the client."""

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

# The record names at most this many refs and counts the rest.
NAMED = 8


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a conversation.

    For a push, `count` is the number of refs that the client named (None if it sent no list),
    `first` holds the first of them, and `sent` counts bytes sent to the remote. For a fetch,
    `received` counts bytes from the remote, None if they bypassed the daemon.
    """

    decision: Literal["allowed", "denied"]
    count: int | None = None
    first: tuple[Update, ...] = ()
    refusal: Refusal | None = None
    sent: int = 0
    received: int | None = None


Tell = Callable[[RemoteRequest, Outcome, bool], None]
"""Called once with the request, its outcome, and whether the profile names the repository."""


class LfsOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one object: `bytes` were transferred; `error` is why the transfer failed.

    With neither `error` nor `is_done`, the conversation ended during the transfer.
    """

    wanted: "Wanted"
    bytes: int
    is_done: bool
    error: AirlockError | None = None


def listed(push: PushList) -> Outcome:
    """The outcome of a push that was read and not yet judged."""
    return Outcome(decision="denied", count=len(push.updates), first=push.updates[:NAMED])


def judged(outcome: Outcome, refusals: Sequence[Refusal]) -> Outcome:
    """The outcome of a push that was judged and not yet sent."""
    if refusals:
        return replace(outcome, refusal=refusals[0])
    return replace(outcome, decision="allowed")


_REF = 160
_ID = 7


def name_operation(asked: RemoteRequest, updates: Iterable[Update] = ()) -> Operation:
    """Name the operation; a push lists each ref with its abbreviated old and new ids."""
    words = ["git", verb_of(asked), str(asked.destination)]
    for each in updates:
        words += [each.ref, f"{each.old[:_ID]}..{each.new[:_ID]}"]
    return Operation(tuple(words))


def describe(asked: RemoteRequest, outcome: Outcome, *, is_pinned: bool) -> dict[str, object]:
    """Build the `detail` of a `broker` record, less than 3 KiB.

    Always has `operation`, `destination` and `service`; `unpinned` if no line of the profile names
    the repository. A push adds `refs` (each with `ref`, `old` and `new`), `more` (the number of
    unlisted refs) and `bytes` (sent to the remote). A fetch adds `received` (bytes from the remote,
    null if they bypassed the daemon).
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
    """Build the `detail` of a `broker` record of one large file (Git LFS), less than 3 KiB.

    Its operation is `git lfs upload PLACE OID SIZE`; `bytes` or `received` counts the bytes
    transferred.
    """
    wanted = outcome.wanted
    words = ("git", "lfs", wanted.operation, str(asked.destination), wanted.oid, str(wanted.size))
    return {
        "operation": shorten(Operation(words).line),
        "destination": shorten(url_of(asked)),
        "service": "git-lfs",
        "bytes" if wanted.operation == "upload" else "received": outcome.bytes,
    }
