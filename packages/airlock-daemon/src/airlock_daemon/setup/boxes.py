"""`[sandbox]` of config.toml: whether tools run in boxes, and as whom."""

import pwd
from typing import Literal, get_args

import msgspec

from airlock_modules import TableReader

Mode = Literal["auto", "require-bubblewrap", "landlock", "off"]
_MODES: tuple[Mode, ...] = get_args(Mode)


class BoxUser(msgspec.Struct, frozen=True):
    """A user of the host, by numbers."""

    user: int
    group: int


class BoxConfig(msgspec.Struct, frozen=True):
    """`mode` says which boxes there are; `user` is who tools in them are, None for the daemon's.

    A command that is to have a box has one or is refused: with "auto" by bubblewrap, or by Landlock
    where that is not installed, else by the one that is named. "off" runs it without.
    """

    mode: Mode = "auto"
    user: BoxUser | None = None


def read_boxes(table: TableReader) -> BoxConfig:
    """Read the table. Faults are recorded by it."""
    mode = table.choice("mode", _MODES, default="auto")
    config = BoxConfig(
        mode=next(each for each in _MODES if each == mode),
        user=_read_user(table),
    )
    table.finish()
    return config


def _read_user(table: TableReader) -> BoxUser | None:
    name = table.string("user", default="", nonempty=False)
    if not name:
        return None
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        table.fault("user", f'there is no user "{name}"', "name a user of this host")
        return None
    if found.pw_uid == 0:
        problem = "root is no user for a box"
        table.fault("user", problem, "name one that owns nothing but the workspaces")
        return None
    return BoxUser(found.pw_uid, found.pw_gid)
