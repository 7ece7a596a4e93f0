"""What a registration of v0.4 meant: names that were any key, paths from the daemon's directory."""

import os
import re
import tomllib
from collections.abc import Sequence

import msgspec

from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.agents import PROFILE
from airlock_daemon.setup.new_files import REGISTRATION
from airlock_daemon.setup.writing import append_table
from airlock_modules import is_name
from airlock_wire import quote


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as it was called, as it is called from now on, and its directory, absolute."""

    before: str
    name: str
    directory: str


def read_released(text: str, *, directories: Sequence[str]) -> list[Registered]:
    """Read a registration; relative paths are from the one of `directories` that has the agent.

    Raises AirlockError where that cannot be told, or the file is no registration.
    """
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise AirlockError(
            f"not valid TOML: {error}", hint="mend that line, and try again"
        ) from error
    agents: list[Registered] = []
    names = clean_names(tuple(data))
    for before, entry in data.items():
        path = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(path, str) or not path:
            raise AirlockError(
                f"{quote(before)} has no path", hint="write one, or remove the table"
            )
        directory = _find_directory(path, directories)
        agents.append(Registered(before=before, name=names[before], directory=directory))
    return agents


def write_registration(agents: Sequence[Registered], *, relative_to: str = "") -> str:
    """The registration of these agents, with paths that are relative where they are below that."""
    text = REGISTRATION
    for agent in agents:
        path = agent.directory
        if relative_to and path.startswith(f"{relative_to}/"):
            path = os.path.relpath(path, relative_to)
        added = append_table(text, agent.name, {"path": path})
        if added is None:
            raise AirlockError(
                f"{quote(path)} cannot be written to a registration", hint="rename the directory"
            )
        text = added
    return text


def clean_names(before: Sequence[str]) -> dict[str, str]:
    """The name that each agent has in this release: the same where that is one."""
    names = {name: name for name in before if is_name(name)}
    for name in before:
        if name in names:
            continue
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:60] or "agent"
        number, clean = 2, plain
        while clean in names.values():
            clean, number = f"{plain}-{number}", number + 1
        names[name] = clean
    return {name: names[name] for name in before}


def _find_directory(path: str, directories: Sequence[str]) -> str:
    candidates = [os.path.normpath(os.path.join(each, path)) for each in directories]
    found = [each for each in dict.fromkeys(candidates) if os.path.isdir(each)]
    with_profile = [each for each in found if os.path.isfile(os.path.join(each, PROFILE))]
    if len({os.path.realpath(each) for each in with_profile}) > 1:
        raise AirlockError(
            f"{quote(path)} may be {' or '.join(with_profile)}",
            hint="write it as an absolute path; it was relative to the daemon's directory",
        )
    return next(iter((*with_profile, *found, *candidates)))
