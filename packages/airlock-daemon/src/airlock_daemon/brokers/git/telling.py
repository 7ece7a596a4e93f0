"""What the audit log says of a conversation with a remote."""

from airlock_daemon.audit.record import shorten
from airlock_daemon.brokers.git.conversation import Outcome
from airlock_daemon.brokers.git.errand import Errand

_REF = 160


def describe(errand: Errand, outcome: Outcome) -> dict[str, object]:
    """The `detail` of a `broker` record, of less than 3 KiB.

    `destination` and `service` are always there; `unpinned` where no line of the profile names the
    place; of a push `refs`, each with `ref`, `old` and `new`, `more` for those that are not listed,
    and `bytes` for what went to the remote.
    """
    asked = errand.asked
    detail: dict[str, object] = {
        "destination": shorten(f"{asked.destination.scheme}://{asked.destination}"),
        "service": asked.service,
    }
    if not errand.is_pinned:
        detail["unpinned"] = True
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
