"""Oddities of a profile's rules, approvals, networks and variables."""

from collections.abc import Iterator, Sequence

from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.apis import find_apis
from airlock_daemon.setup.command_findings import NARROW_DOCKER, bounds_one_client
from airlock_daemon.setup.profile import USE_REFS
from airlock_daemon.setup.trust import Programs
from airlock_modules import (
    GIT_REMOTE,
    Fault,
    Module,
    builtin_names,
    find_secret_names,
    list_unseen,
    load_builtin,
    review_narrowing,
)
from airlock_modules.files.approvals import parse_operation
from airlock_wire import quote


def find_profile_oddities(
    agent: Agent, ceiling: Sequence[str], search_path: str
) -> Iterator[Fault]:
    """Find settings of a profile that have no effect, and secrets among its variables."""
    yield from _find_vain(agent, ceiling)
    yield from _find_vain_approvals(agent, ceiling, search_path)
    for command in agent.profile.commands or ceiling:
        yield from _find_stripped(agent, command, agent.profile_file)
    yield from _find_secrets(agent)


def _find_vain(agent: Agent, ceiling: Sequence[str]) -> Iterator[Fault]:
    """Find a profile's settings for modules that have no effect."""
    source = agent.profile_file
    for command, narrowed in agent.profile.narrowed.items():
        yield from review_narrowing(narrowed, source=source, key=f"deny.{command}")
        if narrowed.has_engine:
            yield Fault(source, f"deny.{command}", bounds_one_client(command), NARROW_DOCKER)
        elif narrowed.uses_apis:
            problem = (
                f"bounds this host's {command} alone: a container's own reaches the API as it is"
            )
            remedy = f"write what may not be asked of the API: [{command}] deny"
            yield Fault(source, f"deny.{command}", problem, remedy)
    # Rules of `[deny] git` apply to git-remote too.
    denied = [(name, f"deny.{name}") for name in agent.profile.narrowed if name != "git"]
    for command, key in (*denied, *((name, f"network.{name}") for name in agent.profile.widened)):
        if command not in ceiling:
            problem = f'"{command}" is not enabled in config.toml'
            yield Fault(source, key, problem, "enable it there, or remove this")


def _find_vain_approvals(agent: Agent, ceiling: Sequence[str], search_path: str) -> Iterator[Fault]:
    """Find patterns of [approve] that ask about nothing, and a program that cannot be notified."""
    rules, source = agent.profile.approve, agent.profile_file
    if rules is None:
        return
    granted = agent.list_granted(ceiling)
    tools = {name for name, module in granted.items() if module.has_command and not module.broker}
    known = {name for name, has in (("git", GIT_REMOTE in granted or "git" in granted),) if has}
    known |= {"ssh"} if any(module.broker == "ssh" for module in granted.values()) else set()
    known |= {"sign"} if any(module.broker == "sign" for module in granted.values()) else set()
    known |= {"run"} if tools else set()
    known |= {"docker"} if any(module.has_engine for module in granted.values()) else set()
    known |= {name for api in find_apis(agent, ceiling).apis for name in api.names}
    for pattern in rules.require:
        service, second, *_ = (*parse_operation(pattern.text).words, "*")
        problem = None
        if "*" not in service and service not in known:
            problem = f'"{service}" is no operation that this agent may ask for'
        elif service == "run" and "*" not in second and second not in tools:
            problem = f'"{second}" is no command that this agent may run'
        if problem is not None:
            problem = f"{quote(pattern.text, limit=80)} asks about nothing: {problem}"
            remedy = "write it as airlock log tail shows the operation, or remove it"
            yield Fault(source, "approve.require", problem, remedy)
    if rules.notify and Programs(search_path).find(rules.notify[0]) is None:
        problem = f'"{rules.notify[0]}" is not an executable on the daemon\'s PATH'
        yield Fault(source, "approve.notify", problem, "install it, or name it by its path")


def _find_stripped(agent: Agent, command: str, source: str) -> Iterator[Fault]:
    module = agent.modules.find(command)
    for name in agent.profile.env:
        if module is not None and name in module.strip:
            yield Fault(
                source,
                "env.set",
                f"{name} never reaches {command}: its module strips it",
                "remove the line, or override the module",
            )


def _find_secrets(agent: Agent) -> Iterator[Fault]:
    for name in find_secret_names(agent.profile.env):
        api = _find_api(agent, name)
        remedy = (
            "remove it, and grant the API that it is for: [api.NAME] with its hosts and a "
            "credential, of which the container and boxes have a placeholder"
        )
        if api is not None:
            remedy = (
                f'remove it, and grant the API: commands = ["{api}"]; its container then has a '
                f"placeholder, and [{api}] credential says where the daemon gets the credential"
            )
        problem = f"{name} looks like a secret, and every tool of this agent is given it"
        yield Fault(agent.profile_file, "env.set", problem, remedy)


def _find_api(agent: Agent, variable: str) -> str | None:
    """The built-in API module whose tools read their credential from this variable."""
    for name in builtin_names():
        module = agent.modules.find(name)
        clients = () if module is None else module.clients.values()
        if any(variable in client.env for client in clients):
            return name
    return None


def find_vain_rules(agent: Agent, narrowed: Module) -> Iterator[Fault]:
    """Find rules of `[deny] git` without effect, since the agent has git-remote alone."""
    kept = set(list_unseen_rules(agent.modules.find("git")))
    if rules := [rule for rule in list_unseen_rules(narrowed) if rule not in kept]:
        problem = f"{name_rules(rules)} no effect: {GIT_REMOTE} sees refs, not flags"
        yield Fault(agent.profile_file, "deny.git", problem, USE_REFS)


def list_unseen_rules(module: Module | None) -> list[str]:
    """A git module's rules that match no git-remote request, without the built-in's."""
    if module is None:
        return []
    builtin = set(list_unseen(load_builtin("git").rules))
    return [rule for rule in list_unseen(module.rules) if rule not in builtin]


def name_rules(rules: Sequence[str]) -> str:
    """The first of these rules as the subject of a sentence, with its verb."""
    shown = ", ".join(quote(rule, limit=60) for rule in rules[:3])
    return f"{shown}{', ...' if len(rules) > 3 else ''} {'has' if len(rules) == 1 else 'have'}"
