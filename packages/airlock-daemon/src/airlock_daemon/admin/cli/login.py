"""`airlock login`."""

import getpass
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.cli.output import list_rows, print_message
from airlock_daemon.errors import AND_RELOAD, AirlockError, Declined
from airlock_daemon.setup.credential import Access, BadCredential
from airlock_modules import builtin_names, is_name
from airlock_wire import quote

if TYPE_CHECKING:
    from airlock_modules.apis import Api


def login(
    application: Application,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Name of the credential, as an API's module has it."),
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option(
            "--agent",
            metavar="AGENT",
            help="Store it for this agent alone, for which it then counts more.",
        ),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove it.")] = False,
) -> None:
    """Store the credential of an API, or list the stored ones.

    Asks for it on a terminal without echo, or reads it from stdin. It is stored in the daemon's
    state directory, in a file that only the daemon's user can read. Containers get a placeholder
    for it, and the daemon puts the credential into requests that the agent's profile allows.
    Nothing prints it again.

    NAME is that of the API's module, such as anthropic, or the one that a module of your own names:
    credential = { as = "header", stored = "NAME" }. A running daemon uses the new value within a
    few seconds.

    \b
        airlock login anthropic
        pass show openai | airlock login openai --agent my
        airlock login openai --agent my --remove

    Without a name it lists what is stored: name, agent (* for all), and the agents that use it.
    """
    secrets = application.locate_state().secrets
    if name is None:
        if remove or agent is not None:
            raise typer.BadParameter("name the credential", param_hint="NAME")
        _list(application)
        return
    _check(application, name, agent)
    if remove:
        if not secrets.remove(name, agent=agent):
            raise AirlockError(
                f"nothing is stored as {name} {_describe(agent)}",
                hint="what is stored: airlock login",
            )
        print_message(f"{name} {_describe(agent)} is removed")
        return
    secrets.store(name, _read(name, secrets.MAX_LENGTH), agent=agent)
    print_message(f"{name} is stored {_describe(agent)}")
    _tell_users(application, name, agent)


def _check(application: Application, name: str, agent: str | None) -> None:
    """Refuse invalid names, and an agent that is not registered."""
    if not is_name(name):
        raise AirlockError(
            f"{quote(name)} is no name for a credential",
            hint="name it as the module of its API, with letters, digits, dots, - and _",
        )
    if agent is not None:
        application.load_agent(agent)


def _read(name: str, max_length: int) -> str:
    if sys.stdin.isatty():
        try:
            data = getpass.getpass(f"credential for {name} (not shown): ").encode()
        except (EOFError, KeyboardInterrupt):
            raise Declined("nothing was stored") from None
    else:
        data = sys.stdin.buffer.read(max_length + 1)
    try:
        return Access.of_text(data).token
    except BadCredential as error:
        raise AirlockError(
            f"nothing was stored: what was read {error}",
            hint=f"give the credential alone, on one line: airlock login {name}",
        ) from None


def _list(application: Application) -> None:
    found = [*application.locate_state().secrets.list_stored()]
    agents = _list_agents(application)
    rows = [(each, _find_users(agents, each.name, each.agent)) for each in found]
    if not found and not application.json:
        print_message("nothing is stored", "hint: airlock login NAME")
    cells = [(each.name, each.agent or "*", ",".join(used) or "-") for each, used in rows]
    application.print(
        [{"name": each.name, "agent": each.agent, "users": used} for each, used in rows],
        list_rows(("NAME", "AGENT", "USED BY"), cells),
    )


def _tell_users(application: Application, stored: str, agent: str | None) -> None:
    """Print whose requests get the credential from now on, or what they lack."""
    agents = _list_agents(application)
    used = _find_users(agents, stored, agent)
    others = [
        name
        for name, apis in agents.items()
        if agent in (None, name) and any(api.module == stored for api in apis)
    ]
    if used:
        print_message(f"it is put into requests of {', '.join(used)}; no container has it")
    elif others:
        print_message(
            f"note: {others[0]} has another credential for {stored}",
            f"hint: to use this one, write in its airlock.toml, below [{stored}]: "
            f'credential = {{ stored = "{stored}" }}{AND_RELOAD}',
        )
    else:
        print_message("note: no agent uses it yet", f"hint: {_advise(application, stored)}")


def _advise(application: Application, name: str) -> str:
    written = os.path.join(application.locations.modules_dir, f"{name}.toml")
    if name in builtin_names() or os.path.exists(written):
        return (
            f"add {name} to commands of an airlock.toml, and to [commands] enable of config.toml"
            f"{AND_RELOAD}"
        )
    return (
        f"write [api.{name}] in an airlock.toml, with hosts, allow and credential = "
        f'{{ as = "header", stored = "{name}" }}{AND_RELOAD}'
    )


def _list_agents(application: Application) -> "Mapping[str, tuple[Api, ...]]":
    """The APIs of each agent; none if the configuration has faults, which `check` reports."""
    try:
        setup = application.load_setup()
    except AirlockError:
        return {}
    return {name: generation.apis.apis for name, generation in setup.generations.items()}


def _find_users(
    agents: "Mapping[str, tuple[Api, ...]]", stored: str, agent: str | None
) -> list[str]:
    return [
        name
        for name, apis in agents.items()
        if agent in (None, name) and any(_uses(api, stored) for api in apis)
    ]


def _uses(api: "Api", name: str) -> bool:
    source = None if api.credential is None else api.credential.source
    return source is not None and source.kind == "stored" and source.words == (name,)


def _describe(agent: str | None) -> str:
    return "for every agent" if agent is None else f"for agent {agent}"
