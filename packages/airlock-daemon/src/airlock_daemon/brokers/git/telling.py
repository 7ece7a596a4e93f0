"""What the audit log says of a conversation with a remote."""

from airlock_daemon.audit.record import shorten
from airlock_daemon.brokers.git.outcome import Outcome
from airlock_daemon.brokers.git.rules import url_of
from airlock_modules import RemoteRequest

_REF = 160


def describe(asked: RemoteRequest, outcome: Outcome, *, is_pinned: bool) -> dict[str, object]:
    """The `detail` of a `broker` record, of less than 3 KiB.

    `destination` and `service` are always there; `unpinned` where no line of the profile names the
    place; of a push `refs`, each with `ref`, `old` and `new`, `more` for those that are not listed,
    and `bytes` for what went to the remote; of a fetch `received` for what came from there, null
    where that did not pass through the daemon.
    """
    detail: dict[str, object] = {
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
