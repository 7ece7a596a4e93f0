"""What a person's own files give up: boxes that protect no credential, engines' sockets."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.finding import Finding
from airlock_modules import Module

_GIVES_AWAY: Mapping[str, str] = {
    "home": "can read and send away every credential in your home",
    "none": "can do all that you can do on this host",
}


def find_unnamed(module: Module) -> Iterator[Finding]:
    """Tell that a module names no box, so that its command is refused."""
    if module.lacks_box:
        yield Finding(
            module.source,
            "sandbox",
            f"names no box, so {module.name} is refused",
            'write [sandbox] box = "closed" (no credential, no network), or box = "home": it '
            f"{_GIVES_AWAY['home']}",
            name="box",
        )


def find_unprotected(agents: Iterable[Agent], ceiling: Collection[str]) -> Iterator[Finding]:
    """Note which commands have the box "home", and which have none: a note for each of the two."""
    found: dict[str, dict[str, str]] = {box: {} for box in _GIVES_AWAY}
    for agent in agents:
        for command in agent.profile.granted(ceiling):
            module = agent.modules.find(command)
            if module is not None and module.sandbox is not None and module.sandbox.box in found:
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
    """Note the modules by which an agent's boxes lead to the docker engine."""
    told: dict[str, str] = {}
    for agent in agents:
        for command in agent.profile.granted(ceiling):
            module = agent.modules.find(command)
            if module is not None and module.has_engine:
                told.setdefault(module.source, command)
    for source, command in told.items():
        yield Finding(
            source,
            "sandbox.brokers",
            f"{command} speaks with the docker engine, which is root on this host",
            "grant it to agents alone that may do whatever root may",
            name="box",
            is_note=True,
        )


def find_engine_grants(agents: Iterable[Agent]) -> Iterator[Finding]:
    """Note the agents whose containers may have the socket of a container engine."""
    for agent in agents:
        if agent.profile.engine_socket:
            yield Finding(
                agent.profile_file,
                "workspace.engine_socket",
                "lets a container have a container engine's socket, and so be root on this host",
                "remove it, unless that is meant",
                name="workspace",
                is_note=True,
            )
