"""Which release a host's files are of, told from what is there and from nothing else."""

import re
import tomllib
from typing import Literal

import msgspec

from airlock_daemon.migrate.unit import ReleasedUnit

Layout = Literal["none", "v0.1", "v0.2", "v0.3", "v0.4", "ours", "unknown"]
"""A release, nothing at all, this release's own, or what none of them leaves."""

EARLIER: tuple[Layout, ...] = ("v0.1", "v0.2", "v0.3", "v0.4")

_STARTER = re.compile(r"^\s*#.*\benable\b", re.MULTILINE)


class Signs(msgspec.Struct, frozen=True, kw_only=True):
    """What tells one layout from another.

    `folders` are the directories that stand beside config.toml, `others` the names of everything
    there that no release makes. `config` is the text of config.toml, None for no file. `profiles`
    are the stems of profiles/*.toml. `sockets` are the agents that have NAME.sock in the sockets
    directory and no directory NAME: no daemon of this release has served them. `is_open` says that
    the one beside config.toml can be entered by other users, as earlier releases made it,
    `is_known` that a daemon of this release has served it. `unit` is a service of an earlier
    release for this very configuration. `unfinished` is the layout of which a migration has begun.
    """

    folders: frozenset[str] = frozenset()
    others: tuple[str, ...] = ()
    config: str | None = None
    has_registration: bool = False
    profiles: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    is_open: bool = False
    is_known: bool = False
    unit: ReleasedUnit | None = None
    unfinished: Layout | None = None


def recognise(signs: Signs) -> Layout:
    """Return the layout that these signs are of."""
    if signs.unfinished is not None:
        return signs.unfinished
    if signs.has_registration:
        is_served = signs.sockets and signs.is_open and not signs.is_known
        is_released = signs.unit is not None or is_served
        return "v0.4" if is_released else "ours"
    if not signs.is_known:
        early = _recognise_early(signs)
        if early is not None:
            return early
    if signs.config is None and "sockets" not in signs.folders:
        return "unknown" if signs.others or signs.folders else "none"
    if signs.unit is not None or signs.sockets:
        return "v0.4"
    # All that v0.4's init makes; ours makes the sockets directory private.
    is_fourth = signs.config is not None and signs.is_open and not signs.is_known
    return "v0.4" if is_fourth else "ours"


def enables_something(config: str | None) -> bool:
    """Whether the text of a config.toml has commands in [commands] enable."""
    try:
        commands = tomllib.loads(config or "").get("commands")
    except ValueError:
        return False
    return isinstance(commands, dict) and bool(commands.get("enable"))


def _recognise_early(signs: Signs) -> Layout | None:
    """Tell the releases that had no registration, by folders that nobody reads any more."""
    if signs.profiles or "profiles" in signs.folders:
        # v0.3 begins nothing without commands that are enabled, and its init makes a config.toml
        # that says so in comments. v0.2 knows no such table.
        is_third = enables_something(signs.config) or _STARTER.search(signs.config or "")
        return "v0.3" if is_third else "v0.2"
    has_folder = bool({"commands", "hooks"} & signs.folders)
    # A ceiling, or agents with sockets, are of later releases.
    is_first = has_folder and not enables_something(signs.config) and not signs.sockets
    return "v0.1" if is_first else None
