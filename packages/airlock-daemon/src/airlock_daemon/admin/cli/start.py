"""`airlock start`, if Typer has to parse its options."""

from airlock_daemon.admin.cli import serve
from airlock_daemon.admin.cli.application import Application


def start(application: Application) -> None:
    """Serve the registered agents until SIGTERM or Ctrl-C.

    Prints `airlock: ready` on stderr once it serves them. It reads the files at start, and again
    after `airlock reload` or SIGHUP. Without --agents it starts with no agent and no socket, and
    names the agents.toml beside config.toml if there is one. When it stops, running commands get
    [daemon] shutdown_grace_s seconds to end; a second signal ends them at once.
    """
    serve(application.locations)
