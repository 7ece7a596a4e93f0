"""Looking at a host's files for what tells their layout; nothing is changed."""

import os
import stat
from collections.abc import Iterator

from airlock_daemon.errors import AirlockError
from airlock_daemon.migrate.layout import EARLIER, Layout, Signs
from airlock_daemon.migrate.unit import ReleasedUnit, read_unit
from airlock_daemon.service.systemd import Systemd
from airlock_daemon.setup.paths import REGISTRATION, Locations, locate
from airlock_daemon.setup.sockets import LOCK
from airlock_daemon.setup.writing import read_whole

EARLY = ("commands", "hooks", "profiles")
"""Folders of v0.1 to v0.3 that nothing reads any more."""
FOLDERS = (*EARLY, "modules", "agents", "sockets")
FILES = ("config.toml", REGISTRATION)
BACKUP = "backup-"
"""How the name of a backup beside config.toml begins; the layout follows."""
COPYING, MIGRATING = ".copying", ".migrating"
"""How that of a backup ends which is not whole yet, and of one whose migration is under way."""


def look(locations: Locations) -> Signs:
    """The signs of these locations; raises AirlockError where a file cannot be read."""
    directory = locations.config_dir
    names = list_names(directory)
    kinds = {name: _kind(os.path.join(directory, name)) for name in names}
    folders = frozenset(name for name in FOLDERS if kinds.get(name) == stat.S_IFDIR)
    if os.path.isdir(locations.sockets_dir):
        folders |= {"sockets"}
    unit = find_unit(locations)
    is_beside = locations.sockets_dir == os.path.join(directory, "sockets")
    named = locations.agents or (None if unit is None else unit.agents)
    return Signs(
        folders=folders,
        others=tuple(name for name in names if not _is_made(name)),
        config=read_whole(locations.config_file) if "config.toml" in kinds else None,
        has_registration=os.path.isfile(named or os.path.join(directory, REGISTRATION)),
        profiles=tuple(list_modules(os.path.join(directory, "profiles"))),
        sockets=tuple(_find_sockets(locations.sockets_dir)),
        is_open=is_beside and _is_open(locations.sockets_dir),
        is_known=os.path.lexists(os.path.join(locations.sockets_dir, LOCK)),
        unit=unit,
        unfinished=find_unfinished(directory),
    )


def find_unit(locations: Locations) -> ReleasedUnit | None:
    """The service of an earlier release that starts its daemon with this configuration."""
    unit = read_service()
    if unit is None:
        return None
    config = locate(config=unit.config).config_dir
    is_same = os.path.realpath(config) == os.path.realpath(locations.config_dir)
    return unit if is_same else None


def read_service() -> ReleasedUnit | None:
    """The service of an earlier release that this user has, whatever its configuration."""
    home = os.path.expanduser("~")
    try:
        text = read_whole(Systemd(home=home, environment=os.environ, version="").file)
    except AirlockError:
        return None
    return None if text is None else read_unit(text, home=home)


def find_unfinished(directory: str) -> Layout | None:
    """The layout whose migration was begun in the configuration `directory`, and has not ended."""
    for layout in EARLIER:
        if os.path.isdir(os.path.join(directory, f"{BACKUP}{layout}{MIGRATING}")):
            return layout
    return None


def list_modules(directory: str) -> Iterator[str]:
    """The stems of the files NAME.toml in a directory, which need not exist, in order."""
    for name in list_names(directory):
        stem, extension = os.path.splitext(name)
        if extension == ".toml":
            yield stem


def list_names(directory: str) -> list[str]:
    """The names in a directory, in order; none where there is none.

    Raises AirlockError where it cannot be listed.
    """
    try:
        return sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise AirlockError(
            f"{directory} cannot be listed: {error.strerror}", hint="make it readable"
        ) from error


def _kind(path: str) -> int:
    try:
        return stat.S_IFMT(os.lstat(path).st_mode)
    except OSError:
        return 0


def _is_made(name: str) -> bool:
    return name in FOLDERS or name in FILES or name.startswith(BACKUP)


def _find_sockets(directory: str) -> Iterator[str]:
    for name in list_names(directory):
        stem, extension = os.path.splitext(name)
        path = os.path.join(directory, name)
        is_socket = extension == ".sock" and stat.S_ISSOCK(_kind(path))
        if is_socket and not os.path.isdir(os.path.join(directory, stem)):
            yield stem


def _is_open(directory: str) -> bool:
    """Whether a sockets directory is as an earlier release makes it.

    docker makes one too, for a container that comes first, with a directory in it.
    """
    try:
        info = os.stat(directory)
    except OSError:
        return False
    is_own = info.st_uid == os.geteuid()
    inner = [name for name in list_names(directory) if os.path.isdir(os.path.join(directory, name))]
    return is_own and bool(stat.S_IMODE(info.st_mode) & 0o077) and not inner
