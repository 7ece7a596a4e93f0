"""v0.4: agents with directories, as in this release, but a slightly different registration."""

import os
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from airlock_daemon.admin.change import Change
from airlock_daemon.admin.migrate import EARLY
from airlock_daemon.admin.migrate.differences import (
    Migrated,
    allow_any_ref,
    list_differences,
    list_losses,
)
from airlock_daemon.admin.migrate.early import HOOKS
from airlock_daemon.admin.migrate.layout import list_modules
from airlock_daemon.admin.migrate.released import (
    ConvertedConfig,
    Override,
    Registered,
    convert_config,
    read_lenient,
    read_override,
    read_plain,
    read_released,
    write_registration,
)
from airlock_daemon.admin.migrate.steps import Draft, Rename, Step
from airlock_daemon.errors import AirlockError
from airlock_daemon.files import read_exact
from airlock_daemon.setup.generation import Agent, Locations, Modules
from airlock_modules import Fault, parse_module

SKIPPED = ".skipped"


class Fourth(msgspec.Struct, frozen=True, kw_only=True):
    """The agents, the overrides in their directories, and config.toml if it existed."""

    agents: tuple[Registered, ...]
    overrides: dict[str, tuple[Override, ...]]
    config: ConvertedConfig | None


def draft_fourth(
    directory: str,
    *,
    registration: str | None,
    directories: Sequence[str],
    environment: Sequence[str],
    faults: list[Fault],
) -> Draft:
    """Plan the migration of the existing files; adds obstacles to `faults`.

    `registration` is v0.4's file, None if there is none. Its relative paths start at one of
    `directories`.
    """
    beside = os.path.join(directory, Locations.REGISTRATION)
    is_beside = registration is None or os.path.realpath(registration) == os.path.realpath(beside)
    source = beside if is_beside else str(registration)
    try:
        registered = _read_agents(source, is_named=not is_beside, directories=directories)
    except AirlockError as error:
        faults.append(Fault(registration or beside, "", error.message, error.hint))
        return Draft(steps=())
    found = _read(directory, registered, faults)
    faults.extend(_find_unclear(found))
    before = read_exact(source) if is_beside else None
    after = write_registration(found.agents, relative_to=directory)
    if is_beside and before is not None and _means(before, found.agents, directory):
        after = before
    widened = {agent.name: _widen_profile(agent) for agent in found.agents}
    agents = [
        _describe(agent, found.overrides[agent.name], keeps_refs=widened[agent.name] is None)
        for agent in found.agents
    ]
    enable = _read_enable(found)
    # Agents may share a directory.
    profiles = {
        change.path: (f"{each.name}.profile", change)
        for each in agents
        if (change := widened[each.name]) is not None and each.needs_refs(enable)
    }
    boxed = _list_boxed(found)
    changes = (change for _, change in profiles.values())
    aside = [*_set_aside(found)]
    steps: list[Step] = [*aside, *boxed.values(), *changes]
    path = os.path.join(directory, "config.toml")
    config = read_exact(path)
    if found.config is not None and found.config.text != config:
        steps.append(Change(path=path, before=config, after=found.config.text))
    if after != before:
        steps.append(Change(path=beside, before=before, after=after))
    undo = [f"rm -f {Locations.REGISTRATION}"] if before is None else []
    for step in aside:
        renamed, back = shlex.quote(step.path), shlex.quote(step.source)
        undo.append(f"[ ! -e {renamed} ] || mv {renamed} {back}")
    differences = list_differences(
        agents,
        enable=enable,
        environment=environment,
        layout="v0.4",
        has_hooks=any(_has_hooks(agent) for agent in found.agents),
    )
    moved = [f"{beside} takes the place of {registration}, which stays as it is"]
    return Draft(
        steps=tuple(steps),
        undo=tuple(undo),
        kept={
            **{name: step.path for name, step in boxed.items()},
            **{name: path for path, (name, _) in profiles.items()},
        },
        changes=(*([] if is_beside else moved), *_list_changes(directory, found), *differences),
        losses=tuple(list_losses(agents, enable)),
        hints=tuple(_list_linked(found)),
    )


def _read_agents(source: str, *, is_named: bool, directories: Sequence[str]) -> list[Registered]:
    text = read_plain(source)
    if text is None and is_named:
        raise AirlockError(
            "there is no such file",
            hint="name the registration that v0.4 was given with --agents FILE",
        )
    return read_released(text or "", directories=directories)


def _read(directory: str, agents: Sequence[Registered], faults: list[Fault]) -> Fourth:
    config, path = None, os.path.join(directory, "config.toml")
    try:
        text = read_plain(path)
        if text is not None:
            config = convert_config(text, layout="v0.4", enable=())
    except AirlockError as error:
        faults.append(Fault(path, "", error.message, error.hint))
    return Fourth(
        agents=tuple(agents),
        overrides={agent.name: tuple(_read_overrides(agent)) for agent in agents},
        config=config,
    )


def _read_overrides(agent: Registered) -> Iterator[Override]:
    for command in list_modules(os.path.join(agent.directory, "commands")):
        source = _locate(agent, command)
        yield read_override(read_lenient(source), command=command, source=source, layout="v0.4")


def _locate(agent: Registered, command: str) -> str:
    return os.path.join(agent.directory, "commands", f"{command}.toml")


def _is_linked(agent: Registered, command: str) -> bool:
    path = _locate(agent, command)
    return os.path.islink(path) or os.path.islink(os.path.dirname(path))


def _list_boxed(found: Fourth) -> dict[str, Change]:
    """The steps that add a box to overrides without one, by these files' names in the backup."""
    steps = {}
    for agent in found.agents:
        for override in found.overrides[agent.name]:
            command = override.command
            if override.is_boxed and not _is_linked(agent, command):
                path = _locate(agent, command)
                # Names of agents and commands, and other names in the backup, contain no colon.
                steps[f"{agent.name}:{command}.toml"] = Change(
                    path=path, before=read_exact(path), after=override.text
                )
    return steps


def _list_linked(found: Fourth) -> Iterator[str]:
    for agent in found.agents:
        for override in found.overrides[agent.name]:
            if override.is_boxed and _is_linked(agent, override.command):
                yield (
                    f"{_locate(agent, override.command)} is behind a link and stays as it is: "
                    f'{override.command} is refused until [sandbox] box = "home" or "closed" '
                    "stands there"
                )


def _find_unclear(found: Fourth) -> Iterator[Fault]:
    for agent in found.agents:
        folder = os.path.join(agent.directory, "commands")
        for override in found.overrides[agent.name]:
            source = _locate(agent, override.command)
            if override.meaning == "unclear":
                remedy = "write what is to hold from now on, or move the file away"
                yield Fault(source, "", override.reason, remedy)
            elif override.meaning == "skipped" and os.path.islink(folder):
                yield Fault(source, "", f"{override.told}, and is behind a link", "move it away")
            elif not source.isprintable():
                yield Fault(ascii(source), "", "has a name that cannot be printed", "rename it")


def _set_aside(found: Fourth) -> Iterator[Rename]:
    sources = {
        _locate(agent, override.command): None
        for agent in found.agents
        for override in found.overrides[agent.name]
        if override.meaning == "skipped"
    }
    for source in sources:
        yield Rename(source=source, path=f"{source}{SKIPPED}")


def _widen_profile(agent: Registered) -> Change | None:
    """The change that keeps its pushes allowed, None if none is needed or possible."""
    path = os.path.realpath(os.path.join(agent.directory, Agent.PROFILE))
    text = None if read_lenient(path) is None else read_exact(path)
    after = None if text is None else allow_any_ref(text)
    return None if after is None else Change(path=path, before=text, after=after)


def _means(text: str, agents: Sequence[Registered], base: str) -> bool:
    """Whether a registration has exactly these agents, in this release's form."""
    data = tomllib.loads(text.removeprefix("\ufeff"))
    said = {
        name: {**entry, "path": os.path.normpath(os.path.join(base, entry["path"]))}
        for name, entry in data.items()
    }
    return said == {agent.name: {"path": agent.directory} for agent in agents}


def _list_changes(directory: str, found: Fourth) -> Iterator[str]:
    if found.config is not None:
        yield from (f"config.toml: {each}" for each in found.config.changes)
    for agent in found.agents:
        for override in found.overrides[agent.name]:
            if override.meaning == "skipped":
                path = _locate(agent, override.command)
                yield (
                    f"{path} {override.told}: it gets the name "
                    f"{override.command}.toml{SKIPPED}, so that it is not used now either"
                )
    for folder in EARLY:
        if os.path.isdir(os.path.join(directory, folder)):
            yield f"{folder}/ is of a release before v0.4, and nothing reads it: it stays"


def _read_enable(found: Fourth) -> Sequence[str]:
    if found.config is None:
        return ()
    enable: Sequence[str] = tomllib.loads(found.config.text).get("commands", {}).get("enable", ())
    return enable


def _has_hooks(agent: Registered) -> bool:
    return any(os.path.exists(os.path.join(agent.directory, "hooks", name)) for name in HOOKS)


def _describe(agent: Registered, overrides: Sequence[Override], *, keeps_refs: bool) -> Migrated:
    profile: dict[str, Any] = {}
    try:
        profile = tomllib.loads(read_lenient(os.path.join(agent.directory, Agent.PROFILE)) or "")
    except (ValueError, RecursionError):
        # `check` reports it, as v0.4 did.
        profile = {}
    env = profile.get("env", {})
    own = {
        each.command: parse_module(
            each.text,
            name=each.command,
            source=_locate(agent, each.command),
        )
        for each in overrides
        if each.meaning == "used"
    }
    return Migrated(
        before=agent.before,
        name=agent.name,
        commands=tuple(profile.get("commands", ())),
        variables=tuple(env.get("set", ())) if isinstance(env, dict) else (),
        modules=Modules(own=own),
        keeps_refs=keeps_refs,
    )
