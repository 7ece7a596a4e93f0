"""`airlock login`."""

import getpass
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.cli.output import list_rows, print_message
from airlock_daemon.errors import AND_RELOAD, AirlockError, Declined
from airlock_daemon.setup.config import Config
from airlock_daemon.setup.credential import BadCredential, read_credential
from airlock_daemon.setup.stored import Secrets, Stored
from airlock_modules import is_name
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
    secrets = Secrets(Config.locate_state(application.locations))
    if name is None:
        if remove or agent is not None:
            raise typer.BadParameter("name the credential", param_hint="NAME")
        _list(application, secrets)
        return
    stored = Stored(name, agent)
    _check(application, stored)
    if remove:
        if not secrets.remove(stored):
            raise AirlockError(
                f"nothing is stored as {name} {_describe(stored)}",
                hint="what is stored: airlock login",
            )
        print_message(f"{name} {_describe(stored)} is removed")
        return
    secrets.store(stored, _read(stored))
    print_message(f"{name} is stored {_describe(stored)}")
    _tell_users(application, stored)


def _check(application: Application, stored: Stored) -> None:
    """Refuse invalid names, and an agent that is not registered."""
    if not is_name(stored.name):
        raise AirlockError(
            f"{quote(stored.name)} is no name for a credential",
            hint="name it as the module of its API, with letters, digits, dots, - and _",
        )
    if stored.agent is not None:
        application.load_agent(stored.agent)


def _read(stored: Stored) -> str:
    if sys.stdin.isatty():
        try:
            data = getpass.getpass(f"credential for {stored.name} (not shown): ").encode()
        except (EOFError, KeyboardInterrupt):
            raise Declined("nothing was stored") from None
    else:
        data = sys.stdin.buffer.read(Secrets.MAX_LENGTH + 1)
    try:
        return read_credential(data)
    except BadCredential as error:
        raise AirlockError(
            f"nothing was stored: what was read {error}",
            hint=f"give the credential alone, on one line: airlock login {stored.name}",
        ) from None


def _list(application: Application, secrets: Secrets) -> None:
    found = [*secrets.list_stored()]
    agents = _list_agents(application)
    rows = [(each, _find_users(agents, each)) for each in found]
    if not found and not application.json:
        print_message("nothing is stored", "hint: airlock login NAME")
    cells = [(each.name, each.agent or "*", ",".join(used) or "-") for each, used in rows]
    application.print(
        [{"name": each.name, "agent": each.agent, "users": used} for each, used in rows],
        list_rows(("NAME", "AGENT", "USED BY"), cells),
    )


def _tell_users(application: Application, stored: Stored) -> None:
    """Print whose requests get the credential from now on, or what they lack."""
    agents = _list_agents(application)
    used = _find_users(agents, stored)
    others = [
        name
        for name, apis in agents.items()
        if stored.agent in (None, name) and any(api.module == stored.name for api in apis)
    ]
    if used:
        print_message(f"it is put into requests of {', '.join(used)}; no container has it")
    elif others:
        print_message(
            f"note: {others[0]} has another credential for {stored.name}",
            f"hint: to use this one, write in its airlock.toml, below [{stored.name}]: "
            f'credential = {{ stored = "{stored.name}" }}{AND_RELOAD}',
        )
    else:
        print_message(
            "note: no agent uses it yet",
            f"hint: add {stored.name} to commands of an airlock.toml, and to [commands] enable of "
            f"config.toml{AND_RELOAD}",
        )


def _list_agents(application: Application) -> "Mapping[str, tuple[Api, ...]]":
    """The APIs of each agent; none if the configuration has faults, which `check` reports."""
    try:
        setup = application.load_setup()
    except AirlockError:
        return {}
    return {name: generation.apis.apis for name, generation in setup.generations.items()}


def _find_users(agents: "Mapping[str, tuple[Api, ...]]", stored: Stored) -> list[str]:
    return [
        name
        for name, apis in agents.items()
        if stored.agent in (None, name) and any(_uses(api, stored.name) for api in apis)
    ]


def _uses(api: "Api", name: str) -> bool:
    source = None if api.credential is None else api.credential.source
    return source is not None and source.kind == "stored" and source.words == (name,)


def _describe(stored: Stored) -> str:
    return "for every agent" if stored.agent is None else f"for agent {stored.agent}"
