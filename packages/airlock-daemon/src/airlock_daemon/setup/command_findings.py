"""Oddities of commands that run on this host: their rules, and the boxes that they get."""

import os
from collections.abc import Iterator

from airlock_daemon.files import Finding, named
from airlock_daemon.setup.config import BoxConfig
from airlock_daemon.setup.findings import GIVES_AWAY
from airlock_daemon.setup.trust import Programs
from airlock_modules import Fault, Module, review_module

NARROW_DOCKER = (
    "say what may be asked of the engine by [docker] of the profile: images, registries, push, "
    "read, network"
)
"""The remedy for rules about a client of the docker engine."""


def find_command_oddities(module: Module, boxes: BoxConfig, search_path: str) -> Iterator[Fault]:
    """Find rules without effect, a box that cannot be had, and a box that is not named."""
    if not module.builtin:
        yield from review_module(module)
    yield from _find_vain_rules(module)
    yield from named("box", _find_box(module, boxes, search_path))
    yield from _find_unnamed(module)


def bounds_one_client(command: str) -> str:
    """The problem of rules that bind one client of the docker engine."""
    return (
        f"bounds this host's {command} alone: a container's own docker reaches docker.sock as it is"
    )


def _find_vain_rules(module: Module) -> Iterator[Fault]:
    """Find rules of a module, as releases before the broker needed, that bind one client alone."""
    rules = module.rules
    if module.has_engine and (rules.mode == "allow" or rules.rules.rules):
        yield Fault(module.source, rules.mode, bounds_one_client(module.name), NARROW_DOCKER)


def _find_unnamed(module: Module) -> Iterator[Finding]:
    """Find a module that names no box, so that its command is refused."""
    if module.lacks_box:
        yield Finding(
            module.source,
            "sandbox",
            f"names no box, so {module.name} is refused",
            'write [sandbox] box = "closed" (no credential, no network), or box = "home": it '
            f"{GIVES_AWAY['home']}",
            name="box",
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
    program = Programs(search_path).find(BoxConfig.BUBBLEWRAP)
    is_there = boxes.mode != "landlock" and program is not None
    missing = BoxConfig.explain_no_fence()
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
