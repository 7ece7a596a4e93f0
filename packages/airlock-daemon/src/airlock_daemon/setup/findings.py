"""Oddities of a configuration that are no faults: reported by `check`, warned of by `start`.

Also what a person's own files weaken: boxes that protect no credential, engines' sockets.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from airlock_daemon.setup.agents import Agent, review_hooks
from airlock_daemon.setup.boxes import BUBBLEWRAP, BoxConfig, explain_no_fence
from airlock_daemon.setup.config import Config
from airlock_daemon.setup.finding import Finding, named
from airlock_daemon.setup.modules import Modules, say_nearest
from airlock_daemon.setup.programs import find_program
from airlock_daemon.setup.remotes import find_unasked, find_unpinned
from airlock_modules import (
    GIT_REMOTE,
    Fault,
    Module,
    builtin_names,
    find_secret_names,
)
from airlock_modules.operation import parse_operation
from airlock_wire import quote

_GIVES_AWAY: Mapping[str, str] = {
    "home": "can read and send away every credential in your home",
    "none": "can do all that you can do on this host",
}


def find_unnamed(module: Module) -> Iterator[Finding]:
    """Find a module that names no box, so that its command is refused."""
    if module.lacks_box:
        yield Finding(
            module.source,
            "sandbox",
            f"names no box, so {module.name} is refused",
            'write [sandbox] box = "closed" (no credential, no network), or box = "home": it '
            f"{_GIVES_AWAY['home']}",
            name="box",
        )


def find_exposures(agents: Sequence[Agent], ceiling: Sequence[str]) -> Iterator[Finding]:
    """Note what agents may do that no box and no table of a profile bounds."""
    for find in (find_unprotected, find_engines, find_unpinned):
        yield from find(agents, ceiling)


def find_unprotected(agents: Iterable[Agent], ceiling: Collection[str]) -> Iterator[Finding]:
    """Note the commands with the box "home", and those with none: one note for each kind."""
    found: dict[str, dict[str, str]] = {box: {} for box in _GIVES_AWAY}
    for agent in agents:
        for command, module in agent.list_granted(ceiling).items():
            if module.sandbox is not None and module.sandbox.box in found:
                found[module.sandbox.box].setdefault(command, module.source)
    for box, sources in found.items():
        if sources:
            yield Finding(
                next(iter(sources.values())),
                "sandbox.box",
                f'"{box}" is the box of {", ".join(sources)}, which {_GIVES_AWAY[box]}',
                'write box = "closed" wherever the tool needs no credential and no network',
                name="box",
                is_note=True,
            )


def find_engines(agents: Iterable[Agent], ceiling: Collection[str]) -> Iterator[Finding]:
    """Note the modules that let an agent start containers on an engine of yours."""
    told: dict[str, str] = {}
    for agent in agents:
        for command, module in agent.list_granted(ceiling).items():
            docker = agent.profile.docker
            if module.has_engine and not (docker and docker.engine):
                told.setdefault(module.source, command)
    for source, command in told.items():
        yield Finding(
            source,
            "sandbox.brokers",
            f"{command} starts containers on your docker engine: they share this host's kernel",
            "give agents a rootless engine of their own: [docker] engine in the profile",
            name="box",
            is_note=True,
        )


def _of_the_client(command: str) -> str:
    return (
        f"bounds this host's {command} alone: a container's own docker reaches docker.sock as it is"
    )


_NARROW_DOCKER = (
    "say what may be asked of the engine by [docker] of the profile: images, registries, push, "
    "read, network"
)


def _find_vain_rules(module: Module) -> Iterator[Fault]:
    """Find rules of a module, as releases before the broker needed, that bind one client alone."""
    rules = module.rules
    if module.has_engine and (rules.mode == "allow" or rules.rules.rules):
        yield Fault(module.source, rules.mode, _of_the_client(module.name), _NARROW_DOCKER)


def find_oddities(
    config_file: str,
    config: Config,
    agents: Mapping[str, Agent],
    shared: Mapping[str, Module],
    search_path: str,
) -> Iterator[Fault]:
    """Find commands without module or program, and settings and hooks without effect.

    A rule has no effect if it can never match or another covers it; so do a profile's commands that
    are not enabled, its variables that are stripped, and an override of a command that nobody can
    use. `shared` are the modules of `modules/`.
    """
    sets = [agent.modules for agent in agents.values()] or [Modules(shared=shared)]
    for name in config.enable:
        modules = [each.find(name) for each in sets]
        if not any(modules):
            yield Fault(
                config_file,
                "commands.enable",
                f'"{name}" has no module',
                f"{say_nearest(name, shared)}add commands/{name}.toml to an agent's directory or "
                f"modules/{name}.toml beside "
                "this file, or remove the name",
            )
        by_source = {module.source: module for module in modules if module is not None}
        for module in by_source.values():
            yield from named("program", _find_program(module, search_path))
            if not module.builtin:
                from airlock_modules import review_module  # noqa: PLC0415 - for people's modules

                yield from review_module(module)
            yield from _find_vain_rules(module)
            yield from named("box", _find_box(module, config.boxes, search_path))
            yield from find_unnamed(module)
    yield from named("remotes", find_unasked(agents.values(), config.ceiling))
    yield from _find_unused(shared, config.ceiling)
    for agent in agents.values():
        yield from _find_unused(agent.modules.own, config.ceiling, granted=agent.profile.commands)
        source = agent.profile_file
        for name in agent.profile.commands:
            is_known = agent.modules.find(name) is not None
            if name not in config.ceiling:
                problem, remedy = "is not enabled in config.toml", "enable it there too"
            elif not is_known:
                problem = "has no module"
                remedy = f"add commands/{name}.toml beside this file"
            else:
                continue
            nearest = "" if is_known else say_nearest(name, (*agent.modules.own, *shared))
            yield Fault(source, "commands", f'"{name}" {problem}', nearest + remedy)
        yield from _find_vain(agent, config.ceiling)
        yield from _find_vain_approvals(agent, config.ceiling, search_path)
        for command in agent.profile.commands or config.ceiling:
            yield from _find_stripped(agent, command, source)
        yield from _find_secrets(agent)
        yield from review_hooks(agent.hooks)


def _find_vain(agent: Agent, ceiling: Sequence[str]) -> Iterator[Fault]:
    """Find a profile's settings for modules that have no effect."""
    source = agent.profile_file
    for command, narrowed in agent.profile.narrowed.items():
        from airlock_modules import review_narrowing  # noqa: PLC0415 - for people's rules

        yield from review_narrowing(narrowed, source=source, key=f"deny.{command}")
        if narrowed.has_engine:
            yield Fault(source, f"deny.{command}", _of_the_client(command), _NARROW_DOCKER)
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
    from airlock_daemon.setup.apis import find_apis  # noqa: PLC0415 - for those with [approve]

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
    if rules.notify and find_program(rules.notify[0], search_path) is None:
        problem = f'"{rules.notify[0]}" is not an executable on the daemon\'s PATH'
        yield Fault(source, "approve.notify", problem, "install it, or name it by its path")


def _find_program(module: Module, search_path: str) -> Iterator[Fault]:
    # A command that uses APIs may be run by the image's own tool.
    is_needed = module.has_command and not module.uses_apis
    if is_needed and find_program(module.bin, search_path) is None:
        yield Fault(
            module.source,
            "command.bin",
            f'"{module.bin}" is not an executable on the daemon\'s PATH',
            f"install it, or set [daemon] path in config.toml (now {search_path})",
        )


def _find_box(module: Module, boxes: BoxConfig, search_path: str) -> Iterator[Fault]:
    """Find why a command would not get its module's box."""
    # A command that uses APIs may be run by the image's own tool, without a box.
    if not module.wants_box or module.uses_apis:
        return
    if boxes.mode == "off":
        problem = "has no effect: [sandbox] mode of config.toml is off, so that it runs without"
        if module.relies_on_box:
            problem = "cannot be made, so the command is refused: [sandbox] mode is off"
        yield Fault(module.source, "sandbox.box", problem, 'write mode = "auto" there')
        return
    is_there = boxes.mode != "landlock" and find_program(BUBBLEWRAP, search_path) is not None
    missing = explain_no_fence()
    if boxes.mode == "require-bubblewrap":
        missing = "mode of config.toml is require-bubblewrap"
    if not is_there and missing is not None:
        problem = "cannot be made, so the command is refused: bubblewrap is not installed"
        remedy = f"sudo apt-get install bubblewrap; {missing}"
        yield Fault(module.source, "sandbox.box", problem, remedy)
    elif not is_there and module.needs_bubblewrap:
        problem = "cannot be made by Landlock, so the command is refused"
        remedy = 'sudo apt-get install bubblewrap, and write mode = "auto" in config.toml'
        key = "sandbox.brokers" if module.has_engine else "sandbox.network"
        yield Fault(module.source, key, problem, remedy)
    if os.geteuid() == 0 and boxes.user is None:
        problem = "cannot be made, so the command is refused: no box runs as root"
        remedy = 'write [sandbox] user = "NAME" in config.toml, a user of the workspaces'
        yield Fault(module.source, "sandbox.box", problem, remedy)


def _find_unused(
    modules: Mapping[str, Module], enable: Sequence[str], *, granted: Sequence[str] = ()
) -> Iterator[Fault]:
    for name, module in modules.items():
        if name not in enable:
            same = (each for each in enable if each.lower() == name.lower())
            meant = next((each for each in same if each not in modules), None)
            problem = "is not enabled in config.toml"
            remedy = f"rename it to {meant}.toml" if meant else "enable it there, or move this away"
        elif granted and name not in granted:
            problem, remedy = (
                "is not among commands in airlock.toml",
                "add it there, or move this away",
            )
        else:
            continue
        yield Fault(module.source, "", f'nothing uses it: "{name}" {problem}', remedy)


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
