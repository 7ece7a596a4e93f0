"""Having the running daemon reload, and saying how that went."""

import time
from collections.abc import Iterator
from typing import Any

from airlock_daemon.cli.reporting import say
from airlock_daemon.errors import AirlockError
from airlock_daemon.platform.support import find_missing
from airlock_daemon.setup.notice import Reload
from airlock_daemon.setup.paths import Locations
from airlock_wire import quote


def reload_running(locations: Locations) -> Reload:
    """Wait until the running daemon of this configuration has reloaded; returns how that ended.

    Raises AirlockError where no daemon runs, or it does not say.
    """
    if find_missing():
        raise AirlockError(
            "no daemon runs here: serving needs Linux",
            hint="reload it on the host where it runs",
        )
    # Needs names that only Linux has.
    from airlock_daemon.setup.notice import reload_daemon  # noqa: PLC0415

    return reload_daemon(locations)


def try_reload(locations: Locations) -> Reload:
    """The same, but what keeps the daemon from saying how it ended is told as its one fault."""
    began = time.monotonic()
    try:
        return reload_running(locations)
    except AirlockError as error:
        told = "; ".join(filter(None, (error.message, error.hint)))
        return Reload(began=began, ended=time.time(), faults=(told,))


def dump_reload(outcome: Reload) -> dict[str, Any]:
    """How a reload has ended, as JSON has it."""
    return {
        "reloaded": not outcome.faults,
        "added": outcome.added,
        "changed": outcome.changed,
        "removed": outcome.removed,
        "unserved": outcome.unserved,
        "faults": outcome.faults,
    }


def describe_reload(outcome: Reload) -> Iterator[str]:
    """The same for people, of a reload without faults: a line for each agent that is concerned."""
    kinds = {"added": outcome.added, "changed": outcome.changed, "removed": outcome.removed}
    for kind, names in kinds.items():
        for name in names:
            yield f"{kind}: {_plain(name)}"
    yield "reloaded" if any(kinds.values()) else "reloaded: no agent has changed"


def say_faults(outcome: Reload) -> None:
    """Say on stderr what keeps the daemon from reloading, in its own words."""
    count = len(outcome.faults)
    say(
        *map(_plain, outcome.faults),
        f"{count} {'fault' if count == 1 else 'faults'} found: the daemon goes on with what it had",
    )


def say_unserved(outcome: Reload) -> None:
    """Say on stderr which agents the daemon does not serve, and why."""
    for name, faults in outcome.unserved.items():
        say(*(f"agent {_plain(name)} is not served: {_plain(fault)}" for fault in faults))


def _plain(text: str) -> str:
    lines = text.split("\n")
    return "\n".join(line if line.isprintable() else quote(line, limit=None) for line in lines)
