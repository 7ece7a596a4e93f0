"""`airlock reload`."""

import time
from collections.abc import Iterator
from typing import Any

import typer

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.cli.options import pass_obj
from airlock_daemon.admin.cli.output import plain, say
from airlock_daemon.errors import AirlockError
from airlock_daemon.platform.support import find_missing
from airlock_daemon.setup.paths import Locations
from airlock_daemon.setup.status import Reload

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@pass_obj
def reload(application: Application) -> None:
    """Have the running daemon read its files again.

    It reads all that `start` reads, and serves by it at once, or, where anything has a fault, goes
    on with what it had. An agent with a fault in its workspaces alone is not served from then on,
    and the others are. Running commands finish under the rules that they began with. SIGHUP does
    the same; this waits until it is done, and says which agents were added, changed and removed, or
    each fault. The daemon is that of --config and --sockets, which the user who asks has started;
    it reads the registration that it was started with. What only a new start changes: these
    options, [log] path, and the daemon's own environment.

    Ends with 0 when the daemon has reloaded and serves all agents, else with 1.
    """
    if application.agents:
        registration = application.find_registration()
        if registration.has_daemon and not registration.is_served:
            raise AirlockError(
                f"the running daemon was not started with --agents {registration.path}",
                hint="without --agents it reads the registration that it was started with; "
                "another one takes a new start",
            )
    outcome = reload_running(application.locations)
    application.print(dump_reload(outcome), () if outcome.faults else describe_reload(outcome))
    if outcome.faults:
        say_faults(outcome)
    say_unserved(outcome)
    if outcome.faults or outcome.unserved:
        raise typer.Exit(1)


def reload_running(locations: Locations) -> Reload:
    """Wait until the running daemon of this configuration has reloaded; returns the outcome.

    Raises AirlockError if no daemon runs, or it does not answer.
    """
    if find_missing():
        raise AirlockError(
            "no daemon runs here: serving needs Linux",
            hint="reload it on the host where it runs",
        )
    # Uses names that only Linux has.
    from airlock_daemon.setup.status import reload_daemon  # noqa: PLC0415

    return reload_daemon(locations)


def try_reload(locations: Locations) -> Reload:
    """As `reload_running`, but a daemon that does not answer is reported as the one fault."""
    began = time.monotonic()
    try:
        return reload_running(locations)
    except AirlockError as error:
        told = "; ".join(filter(None, (error.message, error.hint)))
        return Reload(began=began, ended=time.time(), faults=(told,))


def dump_reload(outcome: Reload) -> dict[str, Any]:
    """A reload's outcome as JSON data."""
    return {
        "reloaded": not outcome.faults,
        "added": outcome.added,
        "changed": outcome.changed,
        "removed": outcome.removed,
        "unserved": outcome.unserved,
        "faults": outcome.faults,
    }


def describe_reload(outcome: Reload) -> Iterator[str]:
    """A reload without faults as lines, one for each changed agent."""
    kinds = {"added": outcome.added, "changed": outcome.changed, "removed": outcome.removed}
    for kind, names in kinds.items():
        for name in names:
            yield f"{kind}: {_plain(name)}"
    yield "reloaded" if any(kinds.values()) else "reloaded: no agent has changed"


def say_faults(outcome: Reload) -> None:
    """Print to stderr what prevents the daemon's reload, in its own words."""
    count = len(outcome.faults)
    say(
        *map(_plain, outcome.faults),
        f"{count} {'fault' if count == 1 else 'faults'} found: the daemon goes on with what it had",
    )


def say_unserved(outcome: Reload) -> None:
    """Print to stderr which agents the daemon does not serve, and why."""
    for name, faults in outcome.unserved.items():
        say(*(f"agent {_plain(name)} is not served: {_plain(fault)}" for fault in faults))


def _plain(text: str) -> str:
    return "\n".join(map(plain, text.split("\n")))
