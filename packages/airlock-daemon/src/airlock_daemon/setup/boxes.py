"""`[sandbox]` of config.toml: whether tools run in boxes, and as which user."""

import pwd
from typing import Literal, get_args

import msgspec

from airlock_modules import Module, TableReader

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


def describe_box(module: Module, config: BoxConfig) -> str | None:
    """Describe a command's box for a person, as far as the files tell.

    None for a broker's command, and for a module with APIs only.
    """
    if module.broker is not None or not module.has_command:
        return None
    if module.lacks_box:
        return f"refused: {module.source} names no [sandbox] box"
    if not module.wants_box:
        return "off: it runs on the host as the daemon's user"
    if config.mode == "off":
        said = "[sandbox] mode of config.toml"
        return f"refused: {said} is off" if module.relies_on_box else f"off: so says {said}"
    if module.shows_home:
        return f"{HOME_CLASS}: it can read and send away every credential in your home"
    network = () if module.sandbox is None else module.sandbox.network
    engine = ["its agent's docker engine"] if module.has_engine else []
    reached = (*engine, *(["its agent's APIs"] if module.uses_apis else []), *network)
    return f"closed, but for {', '.join(reached)}" if reached else "closed"


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
