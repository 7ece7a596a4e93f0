"""v0.1 to v0.3: overrides and hooks that were for all, and profiles in the place of agents."""

import os
from collections.abc import Iterator, Sequence

import msgspec

from airlock_daemon.errors import AirlockError
from airlock_daemon.migrate.differences import RELEASED
from airlock_daemon.migrate.layout import Layout
from airlock_daemon.migrate.reading import read_lenient, read_plain
from airlock_daemon.migrate.released_config import ConvertedConfig, convert_config
from airlock_daemon.migrate.released_module import Override, read_override
from airlock_daemon.migrate.released_profile import Converted, convert_profile
from airlock_daemon.migrate.released_registration import clean_names
from airlock_daemon.migrate.survey import list_modules
from airlock_modules import Fault

HOOKS = ("pre-exec", "post-exec")


class Early(msgspec.Struct, frozen=True, kw_only=True):
    """All that there was, and what it is in this release.

    `profiles` are by their old names, `names` has the new ones. `config_text` is None where there
    was no config.toml. `hooks` are the names of those that there were. `enable` is the ceiling
    that v0.1 and v0.2 had without naming it, nothing for v0.3.
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
        """The overrides that decided, and go on doing so."""
        return tuple(each for each in self.overrides if each.meaning == "used")


def read_early(old: str, directory: str, layout: Layout, *, faults: list[Fault]) -> Early | None:
    """Read what is in `old`, the configuration `directory` or a whole backup of it.

    What cannot be carried over is added to `faults`; None then.
    """
    overrides = tuple(_read_overrides(old, layout, faults))
    commands = {each.command for each in overrides if each.meaning == "used"}
    known = tuple(sorted({*RELEASED, *commands}))
    profiles = dict(_read_profiles(old, layout, known, faults))
    enable = known if layout in ("v0.1", "v0.2") else ()
    source = os.path.join(directory, "config.toml")
    try:
        text = read_plain(os.path.join(old, "config.toml"))
        config = convert_config(text, layout=layout, enable=enable)
    except AirlockError as error:
        faults.append(Fault(source, "", error.message, error.hint or ""))
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
        # It had no profiles: whoever connected might run everything.
        text = "# Made by `airlock-daemon migrate`: v0.1 allowed everything.\ncommands = []\n"
        yield "default", Converted(text=text, commands=(), variables=())
        return
    for name in list_modules(os.path.join(old, "profiles")):
        source = os.path.join(old, "profiles", f"{name}.toml")
        try:
            text = read_plain(source) or ""
            yield name, convert_profile(text, layout=layout, known=known)
        except AirlockError as error:
            faults.append(Fault(source, "", error.message, error.hint or ""))
