"""`airlock-daemon start`."""

import logging

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
    from airlock_daemon.daemon import run_daemon  # noqa: PLC0415
    from airlock_daemon.setup import load_setup  # noqa: PLC0415

    chosen = options.merge(context, config=config, sockets=sockets, agents=agents, json=False)
    setup = load_setup(chosen.locations())
    logging.getLogger("airlock").setLevel(setup.config.log_level)
    run_daemon(setup)
