"""`airlock show`."""

from typing import Annotated

import typer

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.cli.output import plain
from airlock_daemon.admin.cli.verdict import describe_box
from airlock_daemon.errors import AirlockError
from airlock_modules import builtin_names, builtin_security, builtin_text


def show(
    application: Application,
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="Name of the command.")],
    agent: Annotated[
        str | None,
        typer.Option("--agent", metavar="NAME", help="Print what is active for this agent."),
    ] = None,
    security: Annotated[
        bool,
        typer.Option("--security", help="Print what the module protects, and what it does not."),
    ] = False,
) -> None:
    """Print a command's module as TOML, to start an override from.

    To change it for one agent: airlock show git > AGENT/commands/git.toml, then edit that file. In
    modules/ beside config.toml, it applies to all agents without a module of their own. With
    --agent, a module that a person wrote follows a comment that names its box.
    """
    written, box = _find_written(application, command, agent)
    form, found = ("security", _find_security) if security else ("toml", _find_text)
    source, text = found(command, written)
    told = {} if box is None else {"sandbox": box}
    heading = [] if box is None or security else [f"# sandbox: {plain(box)}"]
    report = {"command": command, "source": source, **told, form: text}
    application.print(report, [*heading, text.removesuffix("\n")])


def _find_written(
    application: Application, command: str, agent: str | None
) -> tuple[str, str | None]:
    """Return the file of the module that a person wrote for the agent, and its box.

    "" and None if there is no such module, None for a broker's box.
    """
    if agent is None:
        return "", None
    _, generation = application.load_agent(agent)
    modules = generation.agent.modules
    written, module = modules.find_written(command), modules.find(command)
    if written is None or module is None:
        return "", None
    return written.source, describe_box(module, generation.boxes)


def _find_text(command: str, written: str) -> tuple[str, str]:
    if written:
        # A byte order mark is not part of the text.
        with open(written, encoding="utf-8-sig") as file:
            return written, file.read()
    return _name_builtin(command), builtin_text(command)


def _find_security(command: str, written: str) -> tuple[str, str]:
    if written:
        raise AirlockError(
            f"what is known of {command} is of its built-in module, and this agent has {written}",
            hint="what that gives up of the built-in one: airlock check; "
            f"of the built-in one: airlock show {command} --security",
        )
    return _name_builtin(command), builtin_security(command)


def _name_builtin(command: str) -> str:
    if command not in builtin_names():
        raise AirlockError(
            f"there is no module for {command}",
            hint=f"name a built-in one: {', '.join(builtin_names())}",
        )
    return f"built-in module {command}"
