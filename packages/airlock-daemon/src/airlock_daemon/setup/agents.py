"""The registration file and the agents' directories."""

import functools
import os
from collections.abc import Mapping

import msgspec

from airlock_daemon.setup.limits import Limits
from airlock_daemon.setup.paths import absolute
from airlock_daemon.setup.profile import Profile, parse_profile
from airlock_daemon.setup.reading import read_text
from airlock_modules import (
    Fault,
    Module,
    ModuleError,
    TableReader,
    builtin_names,
    is_name,
    load_builtin,
    parse_module,
)


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """One registered client; `overrides` are the modules of its own `commands/`, by command."""

    name: str
    directory: str
    profile: Profile
    overrides: Mapping[str, Module]


def read_registration(path: str, *, faults: list[Fault]) -> dict[str, str]:
    """Read the file of `--agents`: each agent's name and directory (absolute)."""
    text = read_text(path, faults=faults, remedy="name an existing file with --agents")
    table = TableReader.parse(text, source=path, faults=faults) if text is not None else None
    if table is None:
        return {}
    directories = {}
    for name, entry in table.tables().items():
        directory = entry.string("path", required=True)
        entry.finish()
        if not is_name(name):
            table.fault(
                name, "is no name for an agent", "use letters, digits, '.', '_' and '-', 64 at most"
            )
        elif directory:
            directories[name] = absolute(directory, base=os.path.dirname(path))
    table.finish()
    return directories


def load_agent(name: str, directory: str, *, upper: Limits, faults: list[Fault]) -> Agent | None:
    """Read one agent's directory; None where its profile cannot be read at all."""
    if not os.path.isdir(directory):
        faults.append(
            Fault(directory, "", f'agent "{name}" has no such directory', "correct its path")
        )
        return None
    source = os.path.join(directory, "airlock.toml")
    remedy = 'create it with: commands = ["git"]'
    text = read_text(source, faults=faults, remedy=remedy)
    if text is None:
        return None
    if not text.strip():
        faults.append(Fault(source, "", "is empty", remedy))
        return None
    profile = parse_profile(text, source=source, upper=upper, faults=faults)
    overrides = _load_overrides(os.path.join(directory, "commands"), faults)
    _refuse_hooks(os.path.join(directory, "hooks"), faults)
    if profile is None:
        return None
    return Agent(name=name, directory=directory, profile=profile, overrides=overrides)


def _load_overrides(directory: str, faults: list[Fault]) -> dict[str, Module]:
    overrides: dict[str, Module] = {}
    for path in _entries(directory, faults):
        stem, extension = os.path.splitext(os.path.basename(path))
        if extension != ".toml" or not is_name(stem):
            faults.append(
                Fault(path, "", "is no module", "name a module COMMAND.toml, or move the file away")
            )
            continue
        text = read_text(path, faults=faults, remedy="make it a readable UTF-8 file")
        if text is None:
            continue
        try:
            overrides[stem] = parse_module(text, name=stem, source=path)
        except ModuleError as error:
            faults.extend(error.faults)
    return overrides


def _refuse_hooks(directory: str, faults: list[Fault]) -> None:
    # An owner who put a hook there relies on it; running without it would fail open.
    faults.extend(
        Fault(path, "", "hooks are not part of this release", "move it out of hooks/")
        for path in _entries(directory, faults)
    )


def _entries(directory: str, faults: list[Fault]) -> list[str]:
    try:
        return [os.path.join(directory, name) for name in sorted(os.listdir(directory))]
    except FileNotFoundError:
        return []
    except OSError as error:
        faults.append(
            Fault(directory, "", f"cannot be listed: {error.strerror}", "make it readable")
        )
        return []


def active_module(agent: Agent | None, command: str) -> Module | None:
    """The module that decides for `command`: the agent's override, else the built-in, else None."""
    if agent is not None and command in agent.overrides:
        return agent.overrides[command]
    return _find_builtin(command)


@functools.cache
def _find_builtin(command: str) -> Module | None:
    # It cannot change while this program runs, and is asked for once an agent and more.
    return load_builtin(command) if command in builtin_names() else None
