"""Oddities of a configuration that are no faults: reported by `check`, warned of by `start`.

Also what a person's own files weaken: boxes that protect no credential, engines' sockets.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from airlock_daemon.files import Finding, named
from airlock_daemon.setup.agents import Agent, review_hooks
from airlock_daemon.setup.config import Config
from airlock_daemon.setup.modules import Modules
from airlock_daemon.setup.remotes import find_unasked
from airlock_daemon.setup.trust import Programs
from airlock_modules import Fault, Module

GIVES_AWAY: Mapping[str, str] = {
    "home": "can read and send away every credential in your home",
    "none": "can do all that you can do on this host",
}
"""What a command in such a box can do."""


def find_unprotected(agents: Iterable[Agent], ceiling: Collection[str]) -> Iterator[Finding]:
    """Note the commands with the box "home", and those with none: one note for each kind."""
    found: dict[str, dict[str, str]] = {box: {} for box in GIVES_AWAY}
    for agent in agents:
        for command, module in agent.list_granted(ceiling).items():
            if module.sandbox is not None and module.sandbox.box in found:
                found[module.sandbox.box].setdefault(command, module.source)
    for box, sources in found.items():
        if sources:
            yield Finding(
                next(iter(sources.values())),
                "sandbox.box",
                f'"{box}" is the box of {", ".join(sources)}, which {GIVES_AWAY[box]}',
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
                f"{Modules.suggest_nearest(name, shared)}add commands/{name}.toml to an agent's "
                f"directory or modules/{name}.toml beside this file, or remove the name",
            )
        by_source = {module.source: module for module in modules if module is not None}
        for module in by_source.values():
            yield from named("program", _find_program(module, search_path))
            if module.builtin and module.broker is not None:
                continue
            from airlock_daemon.setup.command_findings import find_command_oddities  # noqa: PLC0415

            yield from find_command_oddities(module, config.boxes, search_path)
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
            nearest = (
                "" if is_known else Modules.suggest_nearest(name, (*agent.modules.own, *shared))
            )
            yield Fault(source, "commands", f'"{name}" {problem}', nearest + remedy)
        profile = agent.profile
        if profile.narrowed or profile.widened or profile.approve is not None or profile.env:
            from airlock_daemon.setup.profile_findings import find_profile_oddities  # noqa: PLC0415

            yield from find_profile_oddities(agent, config.ceiling, search_path)
        yield from review_hooks(agent.hooks)


def _find_program(module: Module, search_path: str) -> Iterator[Fault]:
    # A command that uses APIs may be run by the image's own tool.
    is_needed = module.has_command and not module.uses_apis
    if is_needed and Programs(search_path).find(module.bin) is None:
        yield Fault(
            module.source,
            "command.bin",
            f'"{module.bin}" is not an executable on the daemon\'s PATH',
            f"install it, or set [daemon] path in config.toml (now {search_path})",
        )


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
