"""Recognises layouts of earlier releases, and converts them."""

import os
from typing import TYPE_CHECKING

from airlock_daemon.admin.service import read_foreign_unit
from airlock_daemon.setup.paths import Locations

if TYPE_CHECKING:
    from airlock_daemon.admin.migrate.layout import Advice

EARLY = ("commands", "hooks", "profiles")
"""Directories of v0.1 to v0.3 beside config.toml that are not used any more."""
MIGRATING = ".migrating"
"""The suffix of a backup whose migration is in progress."""


def advise(locations: Locations) -> "Advice | None":
    """Advice on files of an earlier release, or on an interrupted migration.

    None for files of this release, and for unreadable ones.
    """
    if not _may_be_earlier(locations):
        return None
    from airlock_daemon.admin.migrate import layout  # noqa: PLC0415 - few have such files

    return layout.advise(locations)


def _may_be_earlier(locations: Locations) -> bool:
    """Whether `layout` has to look: something is here that no daemon of this release leaves.

    A sockets directory that others may enter is one that none has served yet.
    """
    beside, sockets = _list_names(locations.config_dir), _list_names(locations.sockets_dir)
    return (
        not beside.isdisjoint(EARLY)
        or any(name.endswith((MIGRATING, ".sock")) for name in (*beside, *sockets))
        or (Locations.LOCK not in sockets and _is_open(locations.sockets_dir))
        or read_foreign_unit(os.path.expanduser("~")) is not None
    )


def _list_names(directory: str) -> set[str]:
    try:
        return {*os.listdir(directory)}
    except OSError:
        return set()


def _is_open(directory: str) -> bool:
    return os.path.isdir(directory) and bool(os.stat(directory).st_mode & 0o077)
