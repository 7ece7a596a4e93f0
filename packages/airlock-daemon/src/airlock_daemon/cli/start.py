"""`airlock-daemon start`."""

import typer

from airlock_daemon.cli import options


def start(
    context: typer.Context,
    config: options.Config = None,
    sockets: options.Sockets = None,
    agents: options.Agents = None,
) -> None:
    """Serve the registered agents until SIGTERM or Ctrl-C.

    Without --agents it starts with no agent and no socket. Running commands get [daemon]
    shutdown_grace_s seconds to end when it stops; a second signal ends them at once.
    """
    from airlock_daemon.cli.serving import serve  # noqa: PLC0415

    serve(options.merge(context, config=config, sockets=sockets, agents=agents, json=False))
