"""`airlock-daemon profile list` and `profile show`."""

import os
from typing import Annotated

import msgspec
import typer

from airlock_daemon.cli.application import Application
from airlock_daemon.cli.options import pass_obj

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.callback()
@pass_obj
def _profile(application: Application) -> None:
    """Show the registered agents and their profiles."""


@app.command("list")
@pass_obj
def list_profiles(application: Application) -> None:
    """List name, socket and directory, one agent a line."""
    setup = application.load_setup()
    rows = [
        {
            "name": agent.name,
            "socket": os.path.join(setup.locations.sockets_dir, agent.name, "airlock.sock"),
            "path": agent.directory,
        }
        for agent in (generation.agent for generation in setup.generations.values())
    ]
    if application.json:
        application.print_json(rows)
        return
    widths = [max((len(row[key]) for row in rows), default=0) for key in ("name", "socket")]
    for row in rows:
        typer.echo(f"{row['name']:{widths[0]}}  {row['socket']:{widths[1]}}  {row['path']}")


@app.command("show")
@pass_obj
def show_profile(
    application: Application,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the agent.")],
) -> None:
    """Show what one agent may use, with every default filled in."""
    setup, generation = application.load_agent(name)
    agent, profile = generation.agent, generation.agent.profile
    enabled = [c for c in setup.config.enable if not profile.commands or c in profile.commands]
    fields = {
        "name": name,
        "path": agent.directory,
        "commands": enabled,
        "overrides": sorted(agent.modules.own),
        "env": profile.env,
        "mounts": {mount.target: mount.source for mount in profile.mounts},
        "same_path": [mount.target for mount in profile.same_path],
        "host": profile.host,
        "git_protocols": profile.git_protocols,
        "limits": profile.limits,
    }
    if application.json:
        application.print_json(fields)
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
