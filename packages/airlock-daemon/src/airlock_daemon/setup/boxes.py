"""`[sandbox]` of config.toml: whether tools run in boxes, and as whom."""

import pwd
from typing import Literal

import msgspec

from airlock_modules import Module, TableReader

BUBBLEWRAP = "bwrap"
"""The program that makes boxes, searched on the daemon's PATH."""

Mode = Literal["auto", "require-bubblewrap", "off"]


class BoxUser(msgspec.Struct, frozen=True):
    """A user of the host, by numbers."""

    user: int
    group: int


def wants_box(module: Module) -> bool:
    """Whether a command of `module` is to have a box."""
    return module.sandbox is not None and module.sandbox.box != "none"


class BoxConfig(msgspec.Struct, frozen=True):
    """`mode` says which boxes there are; `user` is who tools in them are, None for the daemon's.

    With "auto" and "require-bubblewrap" a command that is to have a box has one or is refused;
    "off" runs it without.
    """

    mode: Mode = "auto"
    user: BoxUser | None = None


def read_boxes(table: TableReader) -> BoxConfig:
    """Read the table. Faults are recorded by it."""
    if table.has("mode") and table.string("mode") == "landlock":
        problem = '"landlock" is not supported by this release'
        table.fault("mode", problem, 'write "auto", or "require-bubblewrap"')
        mode = "auto"
    else:
        mode = table.choice("mode", ("auto", "require-bubblewrap", "off"), default="auto")
    config = BoxConfig(
        mode="off" if mode == "off" else "auto" if mode == "auto" else "require-bubblewrap",
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
