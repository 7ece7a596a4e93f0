"""`[sandbox]` of config.toml: whether tools run in boxes, and as which user."""

import pwd
from typing import Literal, get_args

import msgspec

from airlock_modules import TableReader

BUBBLEWRAP = "bwrap"
"""The program that makes boxes, found on the daemon's PATH."""

HOME_CLASS = "home (unprotected)"
"""The name of a box with the human's home, in records and messages."""

OLDEST_LANDLOCK = 6
"""The first version that blocks signals and abstract sockets of other processes."""

Mode = Literal["auto", "require-bubblewrap", "landlock", "off"]
_MODES: tuple[Mode, ...] = get_args(Mode)


class BoxUser(msgspec.Struct, frozen=True):
    """A user of the host, by numeric ids."""

    user: int
    group: int


def explain_no_fence() -> str | None:
    """Why Landlock cannot replace bubblewrap here, None if it can."""
    from airlock_daemon.platform.linux.landlock import landlock_version  # noqa: PLC0415

    version = landlock_version()
    if version >= OLDEST_LANDLOCK:
        return None
    has = f"has version {version} of Landlock" if version else "has no Landlock"
    return f"the kernel {has}, and {OLDEST_LANDLOCK} is needed"


class BoxConfig(msgspec.Struct, frozen=True):
    """`mode` selects what makes boxes; `user` is the user of boxed tools, None for the daemon's.

    A command that needs a box gets one or is refused: with "auto" by bubblewrap, or by Landlock if
    bubblewrap does not work; otherwise by the named one. "off" runs it without, unless its module
    is built-in, as its rules rely on the box, or uses APIs or an engine, as it may have no rules.
    """

    mode: Mode = "auto"
    user: BoxUser | None = None


def read_boxes(table: TableReader) -> BoxConfig:
    """Read the table, which records the faults."""
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
