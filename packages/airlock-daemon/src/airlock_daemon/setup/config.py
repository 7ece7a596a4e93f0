"""`config.toml`: what the host's owner allows at all."""

import grp
import logging
import os
import pwd
from typing import ClassVar, Literal, get_args

import msgspec

from airlock_daemon.files import read_text
from airlock_daemon.path_text import absolute
from airlock_daemon.setup.limits import HookLimits, Limits, read_hook_limits, read_limits
from airlock_daemon.setup.paths import Locations
from airlock_daemon.setup.state import State
from airlock_modules import Fault, TableReader

EXAMPLE = '    [commands]\n    enable = ["git-remote", "terraform"]'
"""An example to copy, on lines of its own."""

Mode = Literal["auto", "require-bubblewrap", "landlock", "off"]
_MODES: tuple[Mode, ...] = get_args(Mode)


class LogConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`[log]`: `path` is absolute, or "-" for stderr. `max_size_mb` 0 disables rotation."""

    DEFAULT_PATH: ClassVar[str] = "~/.local/share/airlock/airlock.log"

    path: str
    max_size_mb: int = 50
    max_files: int = 5
    on_error: Literal["deny", "warn"] = "deny"


class BoxUser(msgspec.Struct, frozen=True):
    """A user of the host, by numeric ids."""

    user: int
    group: int


class BoxConfig(msgspec.Struct, frozen=True):
    """`mode` selects what makes boxes; `user` is the user of boxed tools, None for the daemon's.

    A command that needs a box gets one or is refused: with "auto" by bubblewrap, or by Landlock if
    bubblewrap does not work; otherwise by the named one. "off" runs it without, unless its module
    is built-in, as its rules rely on the box, or uses APIs or an engine, as it may have no rules.
    """

    BUBBLEWRAP: ClassVar[str] = "bwrap"
    """The program that makes boxes, found on the daemon's PATH."""

    HOME_CLASS: ClassVar[str] = "home (unprotected)"
    """The name of a box with the human's home, in records and messages."""

    OLDEST_LANDLOCK: ClassVar[int] = 6
    """The first version that blocks signals and abstract sockets of other processes."""

    mode: Mode = "auto"
    user: BoxUser | None = None

    @staticmethod
    def explain_no_fence() -> str | None:
        """Why Landlock cannot replace bubblewrap here, None if it can."""
        from airlock_daemon.platform.linux.landlock import landlock_version  # noqa: PLC0415

        version = landlock_version()
        if version >= BoxConfig.OLDEST_LANDLOCK:
            return None
        has = f"has version {version} of Landlock" if version else "has no Landlock"
        return f"the kernel {has}, and {BoxConfig.OLDEST_LANDLOCK} is needed"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A valid `config.toml`. `enable` is as written; `socket_mode` and `state` are None if unset.

    Without `pass_descriptors` all output goes through the daemon.
    """

    enable: tuple[str, ...]
    log: LogConfig
    limits: Limits
    hook_limits: HookLimits
    boxes: BoxConfig
    socket_mode: int | None = None
    socket_gid: int | None = None
    shutdown_grace_s: float = 10.0
    log_level: int = logging.INFO
    path: str | None = None
    state: str | None = None
    pass_descriptors: bool = True

    @property
    def ceiling(self) -> tuple[str, ...]:
        """The commands that may run at all; git includes git-remote."""
        if "git" in self.enable and "git-remote" not in self.enable:
            return (*self.enable, "git-remote")
        return self.enable

    @staticmethod
    def load(path: str, *, faults: list[Fault], warnings: list[Fault]) -> "Config | None":
        """Read `path`; adds to `faults` and `warnings`.

        Returns None if the file is not valid TOML.
        """
        text = read_text(path, faults=faults, remedy=f"create it with these lines:\n{EXAMPLE}")
        table = TableReader.parse(text, source=path, faults=faults) if text is not None else None
        if table is None:
            return None
        enable = _read_commands(table, faults)
        daemon = table.table("daemon")
        if daemon.has("socket"):
            daemon.string("socket")
            warnings.append(
                Fault(
                    path, "daemon.socket", "is ignored: each agent has its own", "remove the line"
                )
            )
        config = Config(
            enable=enable,
            log=_read_log(table.table("log")),
            limits=read_limits(table.table("limits")),
            hook_limits=read_hook_limits(table.table("hooks")),
            boxes=_read_boxes(table.table("sandbox")),
            socket_mode=_read_mode(daemon),
            socket_gid=_read_group(daemon),
            shutdown_grace_s=daemon.number("shutdown_grace_s", default=10, minimum=0, maximum=3600),
            log_level=_read_level(daemon, path, warnings),
            path=_read_path(daemon),
            state=_read_state(daemon),
            pass_descriptors=daemon.boolean("pass_descriptors", default=True),
        )
        daemon.finish()
        table.finish()
        return config

    @staticmethod
    def locate_state(locations: Locations) -> State:
        """As `find_state`, ignoring other faults of config.toml."""
        return find_state(locations, Config.load(locations.config_file, faults=[], warnings=[]))


def _read_commands(table: TableReader, faults: list[Fault]) -> tuple[str, ...]:
    before = len(faults)
    commands = table.table("commands")
    enable = commands.strings("enable")
    # A value of the wrong type has its own fault already.
    if not enable and len(faults) == before:
        commands.fault("enable", "enables no command", f"name what may run at all:\n{EXAMPLE}")
    commands.finish()
    return enable


def _read_log(table: TableReader) -> LogConfig:
    path = table.string("path", default=LogConfig.DEFAULT_PATH)
    config = LogConfig(
        path="-" if path == "-" else absolute(path),
        max_size_mb=table.integer("max_size_mb", default=50, minimum=0, maximum=100_000),
        max_files=table.integer("max_files", default=5, minimum=1, maximum=1000),
        on_error="warn"
        if table.choice("on_error", ("deny", "warn"), default="deny") == "warn"
        else "deny",
    )
    table.finish()
    return config


def _read_mode(table: TableReader) -> int | None:
    text = table.string("socket_mode", default="")
    if not text:
        return None
    if len(text) in (3, 4) and all(digit in "01234567" for digit in text):
        mode = int(text, 8)
        if mode & 0o600 == 0o600 and mode <= 0o777:
            return mode
    table.fault(
        "socket_mode", f'"{text}" is no mode for a socket', 'write it like "0600" or "0660"'
    )
    return None


def _read_group(table: TableReader) -> int | None:
    name = table.string("socket_group", default="", nonempty=False)
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        table.fault("socket_group", f'there is no group "{name}"', "name a group of this host")
        return None


def _read_level(table: TableReader, path: str, warnings: list[Fault]) -> int:
    names = ("debug", "info", "warning", "error")
    level = table.string("log_level", default="info")
    if level not in names:
        # Releases up to v0.4 accepted any text, and ignored it.
        problem = f'"{level}" is ignored: there is no such level'
        remedy = f"choose among {', '.join(names)}"
        warnings.append(Fault(path, "daemon.log_level", problem, remedy))
        level = "info"
    return int(logging.getLevelNamesMapping()[level.upper()])


def _read_state(table: TableReader) -> str | None:
    path = table.string("state", default="", nonempty=False)
    if path and not path.startswith(("/", "~/")):
        table.fault("state", f'"{path}" is not absolute', "name a directory of the daemon's user")
        return None
    return absolute(path) if path else None


def find_state(locations: Locations, config: Config | None) -> State:
    """The state directory of config.toml, else that of the command line."""
    return State(locations.state_dir if config is None or not config.state else config.state)


def _read_path(table: TableReader) -> str | None:
    value = table.string("path", default="", nonempty=False)
    if not value:
        return None
    entries = [os.path.expanduser(entry) for entry in value.split(os.pathsep)]
    for entry in entries:
        if not os.path.isabs(entry):
            table.fault("path", f'"{entry}" is not absolute', "list absolute directories only")
            return None
    return os.pathsep.join(entries)


def _read_boxes(table: TableReader) -> BoxConfig:
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
