"""A conversation with a remote as an operation, and what the audit log says of it."""

from collections.abc import Iterable

from airlock_daemon.audit.record import shorten
from airlock_daemon.brokers.git.outcome import LfsOutcome, Outcome
from airlock_daemon.brokers.git.rules import url_of, verb_of
from airlock_modules import RemoteRequest, Update
from airlock_modules.operation import Operation

_REF = 160
_ID = 7


def name_operation(asked: RemoteRequest, updates: Iterable[Update] = ()) -> Operation:
    """What is done, and of a push each ref with the beginnings of its old and new ids."""
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
