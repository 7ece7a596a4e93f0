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

    Prints `airlock: ready` on stderr once it serves them. It reads the files at start, and again
    after `airlock reload` or SIGHUP. Without --agents it starts with no agent and no socket, and
    names the agents.toml beside config.toml if there is one. When it stops, running commands get
    [daemon] shutdown_grace_s seconds to end; a second signal ends them at once.
    """
    serve(application.locations)
