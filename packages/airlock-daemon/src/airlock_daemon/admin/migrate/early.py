"""v0.1 to v0.3: overrides and hooks for all, and profiles instead of agents."""

import os
import shlex
import tomllib
from collections.abc import Collection, Iterator, Sequence

import msgspec

from airlock_daemon.admin.change import Change
from airlock_daemon.admin.migrate import EARLY
from airlock_daemon.admin.migrate.differences import (
    RELEASED,
    Migrated,
    allow_any_ref,
    list_differences,
    list_losses,
)
from airlock_daemon.admin.migrate.layout import Layout, list_modules, list_names
from airlock_daemon.admin.migrate.released import (
    Converted,
    ConvertedConfig,
    Override,
    Registered,
    clean_names,
    convert_config,
    convert_profile,
    read_lenient,
    read_override,
    read_plain,
    write_registration,
)
from airlock_daemon.admin.migrate.steps import Copy, Draft, Step
from airlock_daemon.errors import AirlockError
from airlock_daemon.files import read_exact
from airlock_daemon.setup.generation import Agent, Locations, Modules
from airlock_modules import Fault, parse_module

HOOKS = ("pre-exec", "post-exec")


class Early(msgspec.Struct, frozen=True, kw_only=True):
    """The old files, and their form in this release.

    `profiles` are by old name, `names` has the new ones. `config_text` is None if there was no
    config.toml. `hooks` are the names of existing hooks. `enable` is the implicit ceiling of v0.1
    and v0.2, empty for v0.3.
    """

    layout: Layout
    overrides: tuple[Override, ...]
    profiles: dict[str, Converted]
    names: dict[str, str]
    config_text: str | None
    config: ConvertedConfig
    hooks: tuple[str, ...]
    enable: tuple[str, ...]

    @property
    def used(self) -> tuple[Override, ...]:
        """The overrides that were in use, and still are."""
        return tuple(each for each in self.overrides if each.meaning == "used")


def read_early(old: str, layout: Layout, *, faults: list[Fault]) -> Early | None:
    """Read the files in `old`, the configuration's directory.

    Adds what cannot be migrated to `faults`, and then returns None.
    """
    overrides = tuple(_read_overrides(old, layout, faults))
    commands = {each.command for each in overrides if each.meaning == "used"}
    known = tuple(sorted({*RELEASED, *commands}))
    profiles = dict(_read_profiles(old, layout, known, faults))
    enable = known if layout in ("v0.1", "v0.2") else ()
    source = os.path.join(old, "config.toml")
    try:
        text = read_plain(os.path.join(old, "config.toml"))
        config = convert_config(text, layout=layout, enable=enable)
    except AirlockError as error:
        faults.append(Fault(source, "", error.message, error.hint))
        return None
    if faults:
        return None
    return Early(
        layout=layout,
        overrides=overrides,
        profiles=profiles,
        names=clean_names(tuple(profiles)),
        config_text=text,
        config=config,
        hooks=tuple(name for name in HOOKS if os.path.lexists(os.path.join(old, "hooks", name))),
        enable=enable,
    )


def _read_overrides(old: str, layout: Layout, faults: list[Fault]) -> Iterator[Override]:
    for command in list_modules(os.path.join(old, "commands")):
        source = os.path.join(old, "commands", f"{command}.toml")
        override = read_override(
            read_lenient(source), command=command, source=source, layout=layout
        )
        if override.meaning == "unclear":
            remedy = "write what is to hold from now on, or move the file away"
            faults.append(Fault(source, "", override.reason, remedy))
        yield override


def _read_profiles(
    old: str, layout: Layout, known: Sequence[str], faults: list[Fault]
) -> Iterator[tuple[str, Converted]]:
    if layout == "v0.1":
        # It had no profiles: any client could run everything.
        text = "# Made by `airlock-daemon migrate`: v0.1 allowed everything.\ncommands = []\n"
        yield "default", Converted(text=text, commands=(), variables=())
        return
    for name in list_modules(os.path.join(old, "profiles")):
        source = os.path.join(old, "profiles", f"{name}.toml")
        try:
            text = read_plain(source) or ""
            yield name, convert_profile(text, layout=layout, known=known)
        except AirlockError as error:
            faults.append(Fault(source, "", error.message, error.hint))


FIRST_SOCKET = "/var/run/docker-airlock.sock"
"""The socket of v0.1, which only root could create."""


def draft_early(
    directory: str,
    layout: Layout,
    *,
    sockets_dir: str,
    environment: Sequence[str],
    faults: list[Fault],
) -> Draft:
    """Plan the migration of the existing files; adds obstacles to `faults`."""
    early = read_early(directory, layout, faults=faults)
    if early is None:
        return Draft(steps=())
    agents = _describe(directory, early)
    enable = tomllib.loads(early.config.text).get("commands", {}).get("enable", ())
    pushing = [each.before for each in agents if each.needs_refs(enable)]
    differences = list_differences(
        agents,
        enable=enable,
        environment=environment,
        layout=early.layout,
        has_hooks=bool(early.hooks),
    )
    return Draft(
        steps=(*_make_agents(directory, early, pushing), *_change_files(directory, early)),
        undo=tuple(_undo(early)),
        moved=tuple(name for name in EARLY if os.path.isdir(os.path.join(directory, name))),
        changes=(*_list_changes(early), *differences),
        losses=tuple(list_losses(agents, enable)),
        hints=tuple(_list_hints(directory, early, sockets_dir)),
    )


def _make_agents(directory: str, early: Early, pushing: Collection[str]) -> Iterator[Step]:
    for before, converted in early.profiles.items():
        made = os.path.join(directory, "agents", early.names[before])
        text = (before in pushing and allow_any_ref(converted.text)) or converted.text
        yield Change(path=os.path.join(made, Agent.PROFILE), before=None, after=text)
        for name in early.hooks:
            source = os.path.join(directory, "hooks", name)
            yield Copy(source=source, path=os.path.join(made, "hooks", name))


def _change_files(directory: str, early: Early) -> Iterator[Step]:
    for override in early.used:
        path = os.path.join(directory, "modules", f"{override.command}.toml")
        yield Change(path=path, before=None, after=override.text)
    path = os.path.join(directory, "config.toml")
    before = read_exact(path)
    if before != early.config.text:
        yield Change(path=path, before=before, after=early.config.text)
    agents = [
        Registered(before=before, name=name, directory=os.path.join(directory, "agents", name))
        for before, name in early.names.items()
    ]
    text = write_registration(agents, relative_to=directory)
    yield Change(path=os.path.join(directory, Locations.REGISTRATION), before=None, after=text)


def _undo(early: Early) -> Iterator[str]:
    made = [os.path.join("agents", name) for name in early.names.values()]
    made += [os.path.join("modules", f"{each.command}.toml") for each in early.used]
    made += [Locations.REGISTRATION, *(["config.toml"] if early.config_text is None else [])]
    yield f"rm -rf {shlex.join(made)}"
    yield "rmdir agents modules 2>/dev/null || :"


def _list_changes(early: Early) -> Iterator[str]:
    if early.layout == "v0.1":
        yield (
            "agent default may run all that is enabled, as everybody might in v0.1: "
            + ", ".join(early.enable)
        )
    yield from (f"config.toml: {each}" for each in early.config.changes)
    for before, converted in early.profiles.items():
        yield from (f"agent {early.names[before]}: {each}" for each in converted.changes)
    for override in early.overrides:
        name = f"commands/{override.command}.toml"
        if override.meaning == "skipped":
            yield (f"{name} {override.told}: only the backup has it now")
        yield from (f"{name}: {each}" for each in override.changes)


def _describe(directory: str, early: Early) -> list[Migrated]:
    modules = os.path.join(directory, "modules")
    shared = {
        each.command: parse_module(
            each.text, name=each.command, source=os.path.join(modules, f"{each.command}.toml")
        )
        for each in early.used
    }
    return [
        Migrated(
            before=before,
            name=early.names[before],
            commands=converted.commands,
            variables=converted.variables,
            modules=Modules(shared=shared),
        )
        for before, converted in early.profiles.items()
    ]


def _list_hints(directory: str, early: Early, sockets_dir: str) -> Iterator[str]:
    if not early.profiles:
        yield "there is no agent yet: airlock agent add NAME --workspace DIR"
    others = set(list_names(os.path.join(directory, "hooks"))) - set(early.hooks)
    if others and early.hooks:
        yield "other files of hooks/ are in the backup: a hook that looks for one needs a copy"
    if early.layout == "v0.1":
        target = os.path.join(sockets_dir, "default.sock")
        escaped = target.replace("%", "%%")
        yield (
            f"containers that mount {FIRST_SOCKET} go on, once they and the daemon are started "
            f"again, by: sudo ln -sfn {shlex.quote(target)} {FIRST_SOCKET}"
        )
        yield (
            "that link is gone after the next boot, unless /etc/tmpfiles.d/airlock.conf has this "
            f"line: L+ {FIRST_SOCKET} - - - - {escaped}"
        )
