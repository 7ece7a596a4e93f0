"""The options that stand before a command, or after it but before its first positional."""

from typing import Annotated

import typer

from airlock_daemon.cli.chosen import Options

Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="DIR",
        help="Directory of config.toml.  [default: ~/.config/airlock]",
        show_default=False,
    ),
]
Sockets = Annotated[
    str | None,
    typer.Option(
        "--sockets",
        metavar="DIR",
        help="Directory of the agents' sockets.  [default: sockets/ beside config.toml]",
        show_default=False,
    ),
]
Agents = Annotated[
    str | None,
    typer.Option(
        "--agents",
        metavar="FILE",
        help="Registration file: a table [NAME] with path = DIRECTORY for each agent.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def merge(
    context: typer.Context,
    *,
    config: str | None,
    sockets: str | None,
    agents: str | None,
    json: bool,
) -> Options:
    """The options of a command over those that stood before it."""
    before: Options = context.obj
    return Options(
        config=config or before.config,
        sockets=sockets or before.sockets,
        agents=agents or before.agents,
        json=json or before.json,
    )
