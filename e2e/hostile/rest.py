"""A daemon at rest: nothing is left of what was asked of it, and all of it is in the log."""

import time

from e2e.hostile.daemon import Target
from e2e.hostile.footprint import Footprint, measure
from e2e.hostile.log import LogReader
from e2e.hostile.world import HOSTILE
from e2e.world.errors import PATIENCE_S, BrokenError

_MIB = 1 << 20

_WARM_UP = 50
_LOOKS = 20

# An allocator keeps some of what it once had. What grows with each request is found by the soak.
_KEPT = 48 * _MIB

# What a daemon keeps ready of what it has used, and how many at most: supervisors that wait for
# another command, each with its socket, and processes that clients came from.
_SUPERVISOR, _READY = "airlock-launch", 8
_PROCESS, _KNOWN = "anon_inode:[pidfd]", 16
# A box that waits for a command: processes that make it, and how many, and all that it has.
_MAKER, _MAKERS = "bwrap", 2
_BOX_PROCESSES, _BOX_DESCRIPTORS = 4, 6


def warm_up(daemon: Target) -> Footprint:
    """Let a new daemon work a little, and return what it holds then."""
    for _ in range(_WARM_UP):
        daemon.ask_true()
    return _look(daemon)


def _look(daemon: Target) -> Footprint:
    # The last answer may come a moment before the daemon has closed its connection.
    looks = [measure(daemon.pid, daemon.world.temporary) for _ in range(_LOOKS)]
    return min(
        looks,
        key=lambda look: (len(look.directories), len(look.descendants), len(look.descriptors)),
    )


def await_rest(
    daemon: Target, *, before: Footprint, log: LogReader, requests: int, boxes: int = 0
) -> Footprint:
    """Wait until a daemon holds what it held before, and return what that is now.

    So many `boxes` more may wait by then. All `requests` of the hostile agent must be in its log.
    Raises BrokenError with what is left after PATIENCE_S.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        log.read()
        now = _look(daemon)
        left = list_left(before, now, boxes=boxes)
        recorded, refused = log.finals[HOSTILE], log.refused[HOSTILE]
        # Who was refused unread had a request to make, or had none: nobody knows.
        if not recorded <= requests <= recorded + refused:
            left.append(
                f"{recorded} records are in the audit log for {requests} requests, "
                f"and {refused} refused connections"
            )
        if not left:
            return now
        if time.monotonic() > deadline:
            raise BrokenError("; ".join(left))
        # Each answer shows that the daemon had its turn.
        daemon.ask_true()


def list_left(before: Footprint, now: Footprint, *, boxes: int = 0) -> list[str]:
    """What a daemon holds beyond what it did `before` and keeps ready, a line each.

    It may keep so many `boxes` more ready.
    """
    left = []
    ready = _more(before.descendants, now.descendants, _SUPERVISOR, most=_READY)
    known = _more(before.descriptors, now.descriptors, _PROCESS, most=_KNOWN)
    makers = _more(before.descendants, now.descendants, _MAKER, most=boxes * _MAKERS)
    made = -(-makers // _MAKERS)
    if len(now.descriptors) > len(before.descriptors) + ready + known + made * _BOX_DESCRIPTORS:
        left.append(f"{len(before.descriptors)} descriptors became {now.descriptors}")
    if len(now.descendants) > len(before.descendants) + ready + made * _BOX_PROCESSES:
        left.append(f"processes {before.descendants} became {now.descendants}")
    if now.tools:
        left.append(f"tools are left: {now.tools}")
    if now.directories:
        left.append(f"directories are left: {now.directories}")
    if now.resident > before.resident + _KEPT:
        left.append(f"{before.resident // _MIB} MiB became {now.resident // _MIB}")
    return left


def _more(before: list[str], now: list[str], what: str, *, most: int) -> int:
    return min(most, max(0, now.count(what) - before.count(what)))
