"""Carrying out a family of attacks, and looking at what it leaves behind."""

import time
from typing import NamedTuple

from e2e.hostile.attack import Family, Scene
from e2e.hostile.daemon import Target, run_daemon
from e2e.hostile.footprint import Footprint, measure
from e2e.hostile.load import honest_load
from e2e.hostile.log import LogReader
from e2e.hostile.world import HOSTILE
from e2e.world.errors import PATIENCE_S, BrokenError, NotHereError

_MIB = 1 << 20

# An allocator keeps some of what it once had. What grows with each request is found by the soak.
_KEPT = 48 * _MIB

_WARM_UP = 50
_LOOKS = 20


class Report(NamedTuple):
    """What came of a family: how many attacks were tried, and what the daemon did not stand.

    `untried` are those that this machine lacks something for, with what that is.
    """

    family: Family
    tried: int
    untried: tuple[str, ...]
    faults: tuple[str, ...]


def carry_out(family: Family, *, executable: str | None = None) -> Report:
    """Try each attack on a daemon of the family's own while an honest agent works.

    Afterwards the daemon must come back to what it held before: the same descriptors, memory and
    processes, no tool and no directory left, and a record in its log for each request.
    """
    with run_daemon(executable, limits=family.limits, descriptors=family.descriptors) as daemon:
        log = LogReader(daemon.world.log)
        before = _warm_up(daemon)
        scene = Scene(daemon)
        tried = 0
        untried = []
        faults = []
        try:
            with honest_load(daemon):
                for attack in family.attacks:
                    tried += 1
                    try:
                        attack.run(scene)
                    except NotHereError as error:
                        tried -= 1
                        untried.append(f"{attack.name}: {error}")
                    except (BrokenError, OSError) as error:
                        faults.append(f"{attack.name}: {error}")
                        if not daemon.is_running():
                            raise BrokenError(f"the daemon ended: {daemon.read_words()}") from error
            _await_rest(daemon, before=before, log=log, requests=scene.count_requests())
        except (BrokenError, OSError) as error:
            faults.append(f"afterwards: {error}")
    return Report(family, tried, tuple(untried), tuple(faults))


def _warm_up(daemon: Target) -> Footprint:
    for _ in range(_WARM_UP):
        daemon.ask_true()
    # The last answer may come a moment before the daemon has closed its connection.
    looks = [measure(daemon.pid, daemon.world.temporary) for _ in range(_LOOKS)]
    return min(looks, key=lambda look: (len(look.descendants), len(look.descriptors)))


def _await_rest(daemon: Target, *, before: Footprint, log: LogReader, requests: int) -> None:
    """Wait until the daemon holds what it held before, with all requests in its log."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        log.read()
        left = _list_left(before, measure(daemon.pid, daemon.world.temporary))
        recorded, refused = log.finals[HOSTILE], log.refused[HOSTILE]
        # Who was refused unread had a request to make, or had none: nobody knows.
        if not recorded <= requests <= recorded + refused:
            left.append(
                f"{recorded} records are in the audit log for {requests} requests, "
                f"and {refused} refused connections"
            )
        if not left:
            return
        if time.monotonic() > deadline:
            raise BrokenError("; ".join(left))
        # Each answer shows that the daemon had its turn.
        daemon.ask_true()


def _list_left(before: Footprint, now: Footprint) -> list[str]:
    left = []
    if len(now.descriptors) > len(before.descriptors):
        left.append(f"{len(before.descriptors)} descriptors became {now.descriptors}")
    if len(now.descendants) > len(before.descendants):
        left.append(f"processes {before.descendants} became {now.descendants}")
    if now.tools:
        left.append(f"tools are left: {now.tools}")
    if now.directories:
        left.append(f"directories are left: {now.directories}")
    if now.resident > before.resident + _KEPT:
        left.append(f"{before.resident // _MIB} MiB became {now.resident // _MIB}")
    return left
