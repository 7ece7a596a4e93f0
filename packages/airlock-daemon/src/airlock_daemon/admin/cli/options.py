"""The options that are accepted before a command, and after it before its first positional."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from airlock_daemon.admin.cli.application import Application

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


def pass_obj(body: Callable[..., None]) -> Callable[..., None]:
    """Make `body` a function for Typer with the four options besides its own parameters.

    It is called with the Application of all options so far; those after the command override those
    before it. Contexts of inner commands start with it.
    """

    @functools.wraps(body)
    def command(context: typer.Context, **values: Any) -> None:
        given = {name: values.pop(name) for name in _SHARED}
        context.obj = (context.obj or Application()).choose(**given)
        body(context.obj, **values)

    # Typer reads both, and would find those of `body`.
    _, *own = inspect.signature(body).parameters.values()
    parameters = [_CONTEXT, *own, *_SHARED.values()]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _shared(
    context: typer.Context,
    *,
    config: Config = None,
    sockets: Sockets = None,
    agents: Agents = None,
    json: Json = False,
) -> None:
    """The parameters that `pass_obj` adds."""


_SHARED = dict(inspect.signature(_shared).parameters)
_CONTEXT = _SHARED.pop("context")
