"""`airlock-daemon profile list` and `profile show`."""

import os
from typing import Annotated

import msgspec
import typer

from airlock_daemon.cli import options
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.load import load_setup

app = typer.Typer(help="Show the registered agents and their profiles.", no_args_is_help=True)


@app.command("list")
def list_profiles(
    context: typer.Context,
    config: options.Config = None,
    sockets: options.Sockets = None,
    agents: options.Agents = None,
    json: options.Json = False,
) -> None:
    """List name, socket and directory, one agent a line."""
    chosen = options.merge(context, config=config, sockets=sockets, agents=agents, json=json)
    setup = load_setup(chosen.locations())
    rows = [
        {
            "name": agent.name,
            "socket": os.path.join(setup.locations.sockets_dir, agent.name, "airlock.sock"),
            "path": agent.directory,
        }
        for agent in [each.agent for each in setup.generations.values()]
    ]
    if chosen.json:
        typer.echo(msgspec.json.format(msgspec.json.encode(rows)))
        return
    widths = [max((len(row[key]) for row in rows), default=0) for key in ("name", "socket")]
    for row in rows:
        typer.echo(f"{row['name']:{widths[0]}}  {row['socket']:{widths[1]}}  {row['path']}")


@app.command("show")
def show_profile(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the agent.")],
    config: options.Config = None,
    sockets: options.Sockets = None,
    agents: options.Agents = None,
    json: options.Json = False,
) -> None:
    """Show what one agent may use: its profile with every default filled in."""
    chosen = options.merge(context, config=config, sockets=sockets, agents=agents, json=json)
    setup = load_setup(chosen.locations())
    generation = setup.generations.get(name)
    if generation is None:
        raise AirlockError(
            f"no agent {name} is registered", hint="see: airlock-daemon profile list"
        )
    agent = generation.agent
    profile = agent.profile
    enabled = [c for c in setup.config.enable if not profile.commands or c in profile.commands]
    fields = {
        "name": name,
        "path": agent.directory,
        "commands": enabled,
        "overrides": sorted(agent.overrides),
        "env": profile.env,
        "mounts": {mount.target: mount.source for mount in profile.mounts},
        "same_path": [mount.target for mount in profile.same_path],
        "host": profile.host,
        "git_protocols": profile.git_protocols,
        "limits": profile.limits,
    }
    if chosen.json:
        typer.echo(msgspec.json.format(msgspec.json.encode(fields)))
        return
    for key, value in msgspec.to_builtins(fields).items():
        typer.echo(f"{key}: {_as_text(value)}")


def _as_text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} = {inner}" for key, inner in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(str(inner) for inner in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "as the module says" if value is None else str(value)
