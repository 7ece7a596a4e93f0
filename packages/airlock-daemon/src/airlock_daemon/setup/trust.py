"""Finds who else could write deciding files, like sshd's StrictModes, and programs on a PATH.

Whoever can write a file decides its content, and whoever can write a directory above it can replace
it. So each step to a file, symlinks included, must belong to root or the current user, and be
writable for nobody else. Entries of a PATH where others can put a program are left out of it.
"""

import grp
import os
import pwd
import shlex
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Self

from airlock_daemon.errors import AND_RELOAD, Failed
from airlock_daemon.files import Finding
from airlock_daemon.path_text import is_within
from airlock_daemon.platform.system import MountTable, read_own_mounts
from airlock_modules import Fault
from airlock_wire import quote

# SYS_GID_MAX of login.defs(5).
_SYSTEM_GROUPS = 999

AUTHORITIES = ("SSL_CERT_FILE", "GIT_SSL_CAINFO", "SSL_CERT_DIR", "GIT_SSL_CAPATH")
"""Variables that name authorities of TLS: two files, and two lists of directories."""

# As many symlinks as the kernel follows (path_resolution(7)).
_LINKS = 40


def list_deciding(
    files: Iterable[str | None], modules: str, directories: Iterable[str]
) -> Iterator[str]:
    """The paths of all files that are trusted.

    These are `files`, the directory `modules` with its files, and the agents' `directories`.
    """
    yield from (file for file in files if file is not None)
    yield from list_folder(modules)
    for directory in directories:
        yield os.path.join(directory, "airlock.toml")
        for name in ("commands", "hooks"):
            yield from list_folder(os.path.join(directory, name))


def list_folder(folder: str) -> Iterator[str]:
    """A directory and the paths in it, or the path of what is none."""
    yield folder
    if os.path.isdir(folder) and os.access(folder, os.R_OK):
        yield from (os.path.join(folder, entry) for entry in sorted(os.listdir(folder)))


def find_untrusted(paths: Iterable[str]) -> Iterator[Fault]:
    """Find the steps to `paths` (absolute) that somebody else could write, each once.

    Skips missing files, and read-only mounts, which nobody can write here, whoever owns them: a
    container may mount its host's files with unknown owners. Each remedy begins with a command.
    """
    seen: set[tuple[str, bool]] = set()
    told: set[str] = set()
    for path in paths:
        for step in _walk(path):
            if step in seen:
                continue
            seen.add(step)
            fault = _judge(*step)
            if fault is not None and fault.source not in told:
                told.add(fault.source)
                yield fault


def find_file_problem(path: str, workspaces: Sequence[str]) -> tuple[str, str] | None:
    """Return why an absolute `path` is not trusted, and a remedy; None if it is."""
    if leads_through(path, workspaces):
        return f"{quote(path)} is reached through a workspace", "move it out of there"
    for fault in find_untrusted([path]):
        return f"{quote(fault.source)} {fault.problem}", fault.remedy
    return None


def leads_through(path: str, written: Sequence[str]) -> bool:
    """Whether the absolute `path` lies in one of `written`, or a symlink on the way does.

    Also where one of `written`, or a directory in it, is mounted at a second path.
    """
    return next(Written(written).find(path), None) is not None


class Written:
    """Directories that agents write, to compare many paths with."""

    def __init__(self, directories: Iterable[str]) -> None:
        """`directories` are absolute."""
        self._mounts = MountTable()
        with suppress(OSError):
            self._mounts = read_own_mounts()
        self._known = [(each, _identify(each), self._mounts.locate(each)) for each in directories]
        # By step; many paths have the same.
        self._found: dict[str, tuple[str, ...]] = {}

    def find(self, path: str) -> Iterator[str]:
        """Those through which the absolute `path` leads."""
        for step in list_steps(path) if self._known else ():
            if step not in self._found:
                self._found[step] = tuple(self._compare(step))
            yield from self._found[step]

    def _compare(self, step: str) -> Iterator[str]:
        own, place = _identify(step), self._mounts.locate(step)
        for each, identity, root in self._known:
            is_same = own is not None and own == identity
            is_below = place is not None and root is not None and root.includes(place)
            if is_within(step, each) or is_same or is_below:
                yield each


def _identify(path: str) -> tuple[int, int] | None:
    with suppress(OSError):
        info = os.stat(path)
        return info.st_dev, info.st_ino
    return None


def list_steps(path: str) -> Iterator[str]:
    """Every directory, symlink and file on the way to `path`, which is absolute."""
    return (step for step, _ in _walk(path))


def name_user(uid: int) -> str:
    """The name of a user, or its number if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _walk(path: str) -> Iterator[tuple[str, bool]]:
    """Every directory, symlink and file on the way to `path`, and whether it is the target."""
    current = "/"
    pending = _split(path)
    links = 0
    while pending and links <= _LINKS:
        name = pending.pop()
        if name == "..":
            current = os.path.dirname(current)
            continue
        step = os.path.join(current, name)
        try:
            target = os.readlink(step)
        except OSError:
            current = step
            yield step, not pending
            continue
        yield step, False
        links += 1
        if target.startswith("/"):
            current = "/"
        pending += _split(target)


def _split(path: str) -> list[str]:
    """The parts of a path without empty and `.` ones, in reverse."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _judge(step: str, is_last: bool) -> Fault | None:
    try:
        info = os.lstat(step)
        if os.statvfs(os.path.dirname(step) if _is_link(info) else step).f_flag & os.ST_RDONLY:
            return None
    except OSError:
        return None
    user = os.geteuid()
    quoted = shlex.quote(step)
    if info.st_uid not in (0, user):
        problem = f"belongs to {name_user(info.st_uid)}, who could change it"
        remedy = f"sudo chown -h {user} {quoted} (in a container: mount it read-only)"
    elif _is_link(info) or (info.st_mode & stat.S_ISVTX and not is_last):
        # A symlink's mode means nothing, and in a sticky directory only the owner renames a file.
        return None
    elif info.st_mode & stat.S_IWOTH:
        problem, remedy = "is writable for everybody", f"chmod o-w {quoted}"
    elif info.st_mode & stat.S_IWGRP and not _is_private(info.st_gid, user):
        problem = f"is writable for the group {_name_group(info.st_gid)}"
        remedy = f"chmod g-w {quoted}"
    else:
        return None
    return Fault(step, "", problem, remedy)


def _is_link(info: os.stat_result) -> bool:
    return stat.S_ISLNK(info.st_mode)


def _is_private(gid: int, user: int) -> bool:
    """Whether a group has no members but root and the user.

    That holds for per-user groups, known by the user's name, and for system groups without members.
    The members of other groups cannot be known: users with it as their primary group are not
    listed, nor can a directory service list them.
    """
    try:
        group = grp.getgrgid(gid)
    except KeyError:
        return False
    trusted = {name_user(0), name_user(user)}
    if gid > _SYSTEM_GROUPS:
        return group.gr_name in trusted and trusted.issuperset(group.gr_mem)
    primary = {account.pw_name for account in pwd.getpwall() if account.pw_gid == gid}
    return trusted.issuperset(primary.union(group.gr_mem))


def _name_group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _find_reasons(entry: str, written: Written) -> Iterator[str]:
    if not os.path.isabs(entry):
        yield "it is not absolute"
        return
    for workspace in written.find(entry):
        yield f"it lies in a workspace ({workspace})"
    for link in _list_links(entry):
        for workspace in written.find(link):
            yield f"{link} leads into a workspace ({workspace})"
    for fault in find_untrusted([entry]):
        yield f"{fault.source} {fault.problem}"


def _list_links(directory: str) -> Iterator[str]:
    """The symlinks that lead out of a directory."""
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_symlink() and os.sep in os.readlink(entry.path):
                yield entry.path


class Programs:
    """Finds programs and caches their paths, like a shell.

    A removed program is searched again; a new one earlier on the path is not noticed.
    """

    def __init__(self, path: str) -> None:
        """`path` is the PATH to search, and the PATH of tools."""
        self.path = path
        self._found: dict[str, str] = {}

    @classmethod
    def of(
        cls, configured: str | None, *, workspaces: Iterable[str], warnings: list[Fault]
    ) -> Self:
        """Programs on the PATH for tools: `[daemon] path`, else the daemon's own.

        Leaves out, with a warning, entries where somebody else could put a program: relative ones,
        which would be searched from the workspace; those in one of `workspaces` (real paths), such
        as an activated virtual environment; those with a symlink into one; and those that others
        may write.
        """
        source = "[daemon] path" if configured else "PATH"
        written = Written(workspaces)
        kept = []
        for entry in dict.fromkeys(
            (configured or os.environ.get("PATH", os.defpath)).split(os.pathsep)
        ):
            reason = next(_find_reasons(entry, written), None)
            if reason is None:
                kept.append(entry)
            else:
                problem = f'"{entry}" is left out: {reason}'
                remedy = "remove it, or set [daemon] path"
                warnings.append(Finding(source, "", problem, remedy, name="program"))
        return cls(os.pathsep.join(kept))

    def find(self, name: str) -> str | None:
        """The absolute path of the executable `name`, which is absolute or searched for."""
        known = self._found.get(name)
        if known is not None and os.access(known, os.X_OK):
            return known
        found = self._search(name)
        if found is not None:
            self._found[name] = found
        return found

    def demand(self, name: str) -> str:
        """As `find`, but raises Failed if there is no such program."""
        found = self.find(name)
        if found is None:
            raise Failed(
                f"{name} is not an executable on the host",
                hint="a person on the host can install it, or set [daemon] path in config.toml"
                f"{AND_RELOAD}",
            )
        return found

    def _search(self, name: str) -> str | None:
        if os.path.isabs(name):
            return name if os.path.isfile(name) and os.access(name, os.X_OK) else None
        if os.sep in name:
            return None
        return shutil.which(name, path=self.path)
