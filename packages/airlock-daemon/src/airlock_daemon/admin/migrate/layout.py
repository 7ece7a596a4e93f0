"""Recognises the release of a host's files and of its service, from these alone."""

import os
import re
import shlex
import stat
import tomllib
from collections.abc import Iterator
from typing import Literal

import msgspec

from airlock_daemon.admin.migrate import EARLY, MIGRATING
from airlock_daemon.admin.service import read_foreign_unit
from airlock_daemon.errors import AirlockError
from airlock_daemon.files import Finding, read_exact
from airlock_daemon.setup.paths import Locations

Layout = Literal["none", "v0.1", "v0.2", "v0.3", "v0.4", "ours", "unknown"]
"""A release, no files, this release's own files, or unknown ones."""

EARLIER: tuple[Layout, ...] = ("v0.1", "v0.2", "v0.3", "v0.4")

# `init` wrote the same few lines in all releases, and could not write options: a person has added
# any (systemd.service(5), systemd.unit(5) for the specifiers).
_OPTIONS = ("--config", "--sockets", "--agents")
_STARTER = re.compile(r"^\s*#.*\benable\b", re.MULTILINE)


class ReleasedUnit(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon's working directory, and its options' absolute paths, or None."""

    directory: str
    config: str | None = None
    sockets: str | None = None
    agents: str | None = None


class Signs(msgspec.Struct, frozen=True, kw_only=True):
    """The signs that distinguish layouts.

    `folders` are the directories beside config.toml, `others` all names there that no release
    creates. `config` is the text of config.toml, None if missing. `profiles` are the stems of
    profiles/*.toml. `sockets` are the agents with NAME.sock in the sockets directory but no
    directory NAME: no daemon of this release has served them. `is_open` says that other users can
    enter the sockets directory beside config.toml, as earlier releases made it, `is_known` that a
    daemon of this release has served it. `unit` is a service of an earlier release for this very
    configuration. `unfinished` is the layout of an interrupted migration.
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
    """Return the layout with these signs."""
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
    # All that v0.4's init creates; ours makes the sockets directory private.
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
    """Recognise releases without a registration, by directories that are not used any more."""
    if signs.profiles or "profiles" in signs.folders:
        # v0.3 starts nothing without enabled commands, and its init writes a config.toml that says
        # so in comments. v0.2 has no such table.
        is_third = enables_something(signs.config) or _STARTER.search(signs.config or "")
        return "v0.3" if is_third else "v0.2"
    has_folder = bool({"commands", "hooks"} & signs.folders)
    # A ceiling, or agents with sockets, indicate a later release.
    is_first = has_folder and not enables_something(signs.config) and not signs.sockets
    return "v0.1" if is_first else None


FOLDERS = (*EARLY, "modules", "agents", "sockets")
FILES = ("config.toml", Locations.REGISTRATION)
BACKUP = "backup-"
"""The prefix of a backup's name beside config.toml; the layout follows."""
COPYING = ".copying"
"""The suffix of an incomplete backup."""


def look(locations: Locations) -> Signs:
    """The signs of these locations; raises AirlockError if a file cannot be read."""
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
        config=read_exact(locations.config_file) if "config.toml" in kinds else None,
        has_registration=os.path.isfile(named or os.path.join(directory, Locations.REGISTRATION)),
        profiles=tuple(list_modules(os.path.join(directory, "profiles"))),
        sockets=tuple(_find_sockets(locations.sockets_dir)),
        is_open=is_beside and _is_open(locations.sockets_dir),
        is_known=os.path.lexists(os.path.join(locations.sockets_dir, Locations.LOCK)),
        unit=unit,
        unfinished=find_unfinished(directory),
    )


def find_unit(locations: Locations) -> ReleasedUnit | None:
    """An earlier release's service that starts its daemon with this configuration."""
    unit = read_service()
    if unit is None:
        return None
    config = Locations.find(config=unit.config).config_dir
    is_same = os.path.realpath(config) == os.path.realpath(locations.config_dir)
    return unit if is_same else None


def read_service() -> ReleasedUnit | None:
    """An earlier release's service of this user, with any configuration."""
    home = os.path.expanduser("~")
    text = read_foreign_unit(home)
    return None if text is None else read_unit(text, home=home)


def find_unfinished(directory: str) -> Layout | None:
    """The layout of an interrupted migration in the configuration `directory`, or None."""
    for layout in EARLIER:
        if os.path.isdir(os.path.join(directory, f"{BACKUP}{layout}{MIGRATING}")):
            return layout
    return None


def list_modules(directory: str) -> Iterator[str]:
    """Yield the stems of the files NAME.toml in a directory, which may be missing, sorted."""
    for name in list_names(directory):
        stem, extension = os.path.splitext(name)
        if extension == ".toml":
            yield stem


def list_names(directory: str) -> list[str]:
    """The sorted names in a directory; none if it is missing.

    Raises AirlockError if it cannot be listed.
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
    """Whether a sockets directory is as earlier releases made it.

    docker creates one too, for a container that starts first, but with a directory in it.
    """
    try:
        info = os.stat(directory)
    except OSError:
        return False
    is_own = info.st_uid == os.geteuid()
    inner = [name for name in list_names(directory) if os.path.isdir(os.path.join(directory, name))]
    return is_own and bool(stat.S_IMODE(info.st_mode) & 0o077) and not inner


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """A finding on a layout, and whether a daemon of this release can serve it unchanged."""

    finding: Finding
    can_serve: bool

    @property
    def where(self) -> str:
        """Where these files are, and what they are."""
        return f"{self.finding.source}: {self.finding.problem}"


def advise(locations: Locations) -> Advice | None:
    """As `migrate.advise`, which calls this only where such files may be."""
    try:
        signs = look(locations)
    except AirlockError:
        return None
    layout = recognise(signs)
    if layout not in EARLIER:
        return None
    command = shlex.join(("airlock", "migrate", *locations.options))
    if signs.unfinished is not None:
        problem = f"the migration of these files of Airlock {layout} was interrupted"
        backup = os.path.join(locations.config_dir, f"{BACKUP}{layout}{MIGRATING}")
        remedy = f"take it back: sh {shlex.quote(os.path.join(backup, 'undo.sh'))}; then: {command}"
    else:
        problem = f"these are files of Airlock {layout}"
        remedy = f"{command} makes them files of this release; with --dry-run it shows what changes"
        if layout in ("v0.2", "v0.3"):
            remedy += ". If v0.4 has served with --agents FILE since, name that file here too"
    return Advice(
        finding=Finding(locations.config_dir, "", problem, remedy, name="layout"),
        can_serve=layout == "v0.4" and signs.unfinished is None,
    )


def read_unit(text: str, *, home: str) -> ReleasedUnit | None:
    """Parse an airlock.service that this release has not written; None if it starts no daemon."""
    lines = text.replace("\\\n", " ").splitlines()
    words = _split(_last(lines, "ExecStart").lstrip("@-:+!"), home)
    if not words or os.path.basename(words[0]) != "airlock-daemon" or "start" not in words[1:]:
        return None
    directory = os.path.join(home, _expand(_last(lines, "WorkingDirectory").lstrip("-"), home))
    if directory in (os.path.join(home, "~"), os.path.join(home, "")):
        directory = home
    found = {}
    for name in _OPTIONS:
        value = _find_value(words, name)
        if value is not None:
            found[name.removeprefix("--")] = os.path.normpath(os.path.join(directory, value))
    return ReleasedUnit(directory=directory, **found)


def _last(lines: list[str], key: str) -> str:
    """The value of the last line `key=`, which systemd uses; "" if there is none."""
    values = (line.partition("=")[2] for line in lines if line.partition("=")[0].strip() == key)
    return next(reversed([value.strip() for value in values]), "")


def _split(command: str, home: str) -> list[str]:
    try:
        return [_expand(word, home) for word in shlex.split(command)]
    except ValueError:
        return []


def _expand(text: str, home: str) -> str:
    return re.sub(r"%([h%])", lambda match: home if match[1] == "h" else "%", text)


def _find_value(words: list[str], name: str) -> str | None:
    for number, word in enumerate(words):
        if word == name:
            return next(iter(words[number + 1 :]), None)
        if word.startswith(f"{name}="):
            return word.removeprefix(f"{name}=")
    return None
