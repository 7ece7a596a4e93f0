"""`airlock-daemon show`."""

from typing import Annotated

import typer

from airlock_daemon.cli.application import Application
from airlock_daemon.cli.options import pass_obj
from airlock_daemon.errors import AirlockError
from airlock_modules import builtin_names, builtin_text

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@pass_obj
def show(
    application: Application,
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="Name of the command.")],
    agent: Annotated[
        str | None,
        typer.Option("--agent", metavar="NAME", help="Print what is active for this agent."),
    ] = None,
) -> None:
    """Print the module of a command, as TOML for an override.

    To change it for an agent: airlock-daemon show git > AGENT/commands/git.toml, then edit that.
    In modules/ beside config.toml it is for all agents that have none of their own.
    """
    source, text = _find_text(application, command, agent)
    if application.json:
        application.print_json({"command": command, "source": source, "toml": text})
    else:
        typer.echo(text, nl=False)


def _find_text(application: Application, command: str, agent: str | None) -> tuple[str, str]:
    if agent is not None:
        _, generation = application.load_agent(agent)
        module = generation.agent.modules.find_written(command)
        if module is not None:
            # A byte order mark is no part of the text.
            with open(module.source, encoding="utf-8-sig") as file:
                return module.source, file.read()
    if command not in builtin_names():
        names = ", ".join(builtin_names())
        raise AirlockError(
            f"there is no module for {command}", hint=f"name a built-in one: {names}"
        )
    return f"built-in module {command}", builtin_text(command)
