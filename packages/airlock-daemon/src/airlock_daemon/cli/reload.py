"""`airlock-daemon reload`."""

import typer

from airlock_daemon.cli.application import Application
from airlock_daemon.cli.options import pass_obj
from airlock_daemon.cli.registration import find_registration
from airlock_daemon.cli.reloading import (
    describe_reload,
    dump_reload,
    reload_running,
    say_faults,
    say_unserved,
)
from airlock_daemon.errors import AirlockError

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
    registration = find_registration(application.locations)
    if registration.has_daemon and application.agents and not registration.is_served:
        raise AirlockError(
            f"the running daemon was not started with --agents {registration.path}",
            hint="without --agents it reads the registration that it was started with; "
            "another one takes a new start",
        )
    outcome = reload_running(application.locations)
    if application.json:
        application.print_json(dump_reload(outcome))
    elif not outcome.faults:
        for line in describe_reload(outcome):
            typer.echo(line)
    if outcome.faults:
        say_faults(outcome)
    say_unserved(outcome)
    if outcome.faults or outcome.unserved:
        raise typer.Exit(1)
