"""Loads the code for what agents are granted, with the granting generation, and nothing else.

Code that nobody is granted cannot cause faults. Container identity, git over ssh and LFS are
imported by the first request that needs them, before it starts anything.
"""

from collections.abc import Iterable
from importlib import import_module

from airlock_daemon.serving.request.broker import find_broker
from airlock_daemon.serving.request.state import DaemonState
from airlock_daemon.setup.generation import Generation, Setup
from airlock_modules import Module

_TOOL = ("serving.request.tool", "serving.request.command", "boundary.command.terminal")
_BOX = ("serving.request.boxed", "boundary.box.prewarmed")


def _list_granted(generation: Generation) -> list[Module]:
    grant = generation.grant
    return [module for name, module in grant.modules.items() if grant.grants(name)]


def has_boxes(generation: Generation) -> bool:
    """Whether any of the agent's commands needs a box."""
    return any(each.wants_box for each in _list_granted(generation))


async def settle_granted(setup: Setup, shared: DaemonState) -> tuple[Setup, str | None]:
    """As `boxes.settle_boxes`, which is imported only if a module wants a box."""
    generations = setup.generations.values()
    if not any(each.wants_box for one in generations for each in one.grant.modules.values()):
        return setup, None
    from airlock_daemon.serving.daemon.boxes import settle_boxes  # noqa: PLC0415

    return await settle_boxes(setup, shared)


def load_granted(generations: Iterable[Generation]) -> None:
    """Import what serves their commands, hooks, APIs, engines, bridges; nothing is unloaded."""
    wanted = set[str]()
    for generation in generations:
        hooks = generation.agent.hooks
        if hooks.pre_exec is not None:
            wanted.add("serving.request.hooks")
        if hooks.post_exec is not None:
            wanted.add("serving.request.post_exec")
        if generation.apis:
            wanted.add("serving.daemon.https")
        if generation.agent.profile.bridge is not None:
            wanted.add("serving.daemon.bridge_container")
        if generation.docker is not None:
            wanted.add("serving.daemon.docker")
        for module in _list_granted(generation):
            if module.broker is not None:
                find_broker(module)
                continue
            wanted.update(_TOOL)
            if module.wants_box:
                wanted.update(_BOX)
    for name in sorted(wanted):
        import_module(f"airlock_daemon.{name}")
