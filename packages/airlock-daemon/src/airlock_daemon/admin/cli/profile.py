"""`airlock profile list` and `profile show`."""

import os
from typing import Annotated

import msgspec
import typer

from airlock_daemon.admin.cli.application import Application, pass_obj
from airlock_daemon.admin.cli.known_apis import describe_api
from airlock_daemon.admin.cli.output import list_rows, plain, print_messages
from airlock_daemon.setup.generation import HTTPS, SOCKET, Generation, Setup

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.callback()
@pass_obj
def _profile(application: Application) -> None:
    """Show the registered agents and their profiles."""


@app.command("list")
@pass_obj
def list_profiles(application: Application) -> None:
    """List the name, socket and directory of each agent.

    Prints a table on a terminal, else lines with tabs. Agents that are not served because of their
    workspaces are named on stderr, each with the reason. --json adds the sockets for APIs and
    for docker, null for an agent without one.
    """
    setup = application.load_setup()
    sockets = setup.locations.sockets_dir
    rows = [
        {
            "name": name,
            "socket": os.path.join(sockets, name, SOCKET),
            "path": generation.agent.directory,
            "https_socket": os.path.join(sockets, name, HTTPS) if generation.apis else None,
            "docker_socket": None if generation.docker is None else generation.docker.socket,
        }
        for name, generation in setup.generations.items()
    ]
    print_messages(setup.describe_unserved())
    cells = [[str(row[key]) for key in ("name", "socket", "path")] for row in rows]
    application.print(rows, list_rows(("NAME", "SOCKET", "PATH"), cells))


@app.command("show")
@pass_obj
def show_profile(
    application: Application,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the agent.")],
) -> None:
    """Print an agent's profile, then everything that it grants.

    The grants, with every default filled in, are comments, so that the output is valid TOML.
    """
    setup, generation = application.load_agent(name)
    with open(generation.agent.profile_file, encoding="utf-8-sig") as file:
        text = file.read()
    granted = _list_granted(setup, generation)
    rows = msgspec.to_builtins(granted).items()
    filled = (f"# {key}: {plain(_as_text(value))}" for key, value in rows)
    heading = "\n# What it grants, with every default filled in:"
    application.print({"toml": text, **granted}, [text.rstrip("\n"), heading, *filled])


def _list_granted(setup: Setup, generation: Generation) -> dict[str, object]:
    agent, profile = generation.agent, generation.agent.profile
    return {
        "name": agent.name,
        "path": agent.directory,
        "registration": setup.locations.agents,
        "commands": profile.granted(setup.config.ceiling),
        "overrides": sorted(agent.modules.own),
        "shared": sorted(set(agent.modules.shared) - set(agent.modules.own)),
        "env": profile.env,
        "mounts": {mount.target: mount.source for mount in profile.mounts},
        "same_path": [mount.target for mount in profile.same_path],
        "host": profile.host,
        "engine_socket": profile.engine_socket,
        "deny": {
            name: [rule.text for rule in module.rules.narrowing.rules]
            for name, module in profile.narrowed.items()
        },
        "network": {
            name: () if module.sandbox is None else module.sandbox.network
            for name, module in profile.widened.items()
        },
        "apis": {api.name: describe_api(api) for api in generation.apis.apis},
        "reached": list(generation.apis.network),
        "git_protocols": profile.git_protocols,
        "git_push": [place.text for place in profile.git.push],
        "git_fetch": [place.text for place in profile.git.fetch],
        "ssh_hosts": [line.text for line in profile.ssh.hosts],
        "ssh_pinned": profile.ssh.is_pinned,
        "approve": [each.text for each in profile.approve.require] if profile.approve else [],
        "limits": profile.limits,
    }


def _as_text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} = {_as_text(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_as_text, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "as the module says" if value is None else str(value)
