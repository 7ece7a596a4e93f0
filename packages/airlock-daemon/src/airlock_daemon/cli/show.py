"""`airlock-daemon show`."""

from typing import Annotated

import typer

from airlock_daemon.cli import options
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.load import load_setup
from airlock_modules import builtin_names, builtin_text


def show(
    context: typer.Context,
    command: Annotated[str, typer.Argument(help="Name of the command.")],
    agent: Annotated[
        str | None,
        typer.Option("--agent", metavar="NAME", help="Print what is active for this agent."),
    ] = None,
    config: options.Config = None,
    sockets: options.Sockets = None,
    agents: options.Agents = None,
) -> None:
    """Print the module of a command, as TOML that is valid as an override.

    To change it for an agent: airlock-daemon show git > AGENT/commands/git.toml, then edit that.
    """
    if agent is not None:
        chosen = options.merge(context, config=config, sockets=sockets, agents=agents, json=False)
        setup = load_setup(chosen.locations())
        if agent not in setup.generations:
            raise AirlockError(
                f"no agent {agent} is registered", hint="see: airlock-daemon profile list"
            )
        override = setup.generations[agent].agent.overrides.get(command)
        if override is not None:
            with open(override.source, encoding="utf-8") as file:
                typer.echo(file.read(), nl=False)
            return
    if command not in builtin_names():
        names = ", ".join(builtin_names())
        raise AirlockError(f"there is no module for {command}", hint=f"the built-in ones: {names}")
    typer.echo(builtin_text(command), nl=False)
