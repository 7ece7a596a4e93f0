"""The options that stand before a command, or after it but before its first positional."""

from typing import Annotated

import msgspec
import typer

from airlock_daemon.paths import Locations, locate

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


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The four options, as far as they were given."""

    config: str | None = None
    sockets: str | None = None
    agents: str | None = None
    json: bool = False

    def locations(self) -> Locations:
        """Where the files are by these options."""
        return locate(config=self.config, sockets=self.sockets, agents=self.agents)


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
