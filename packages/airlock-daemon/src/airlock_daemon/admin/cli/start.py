"""`airlock start`, if Typer has to parse its options."""

import typer

from airlock_daemon.admin.cli import serve
from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.cli.options import pass_obj

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@pass_obj
def start(application: Application) -> None:
    """Serve the registered agents until SIGTERM or Ctrl-C.

    Says `airlock: ready` on stderr once it serves them. It reads the files now, and again when
    `airlock reload` or SIGHUP asks for it. Without --agents it starts with no agent and no
    socket; it then names the agents.toml that is beside config.toml, if there is one. Running
    commands get [daemon] shutdown_grace_s seconds to end when it stops; a second signal ends them
    at once.
    """
    serve(application.locations)
