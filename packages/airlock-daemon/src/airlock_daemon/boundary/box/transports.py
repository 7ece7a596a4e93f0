"""git's transports in a box: the shim, under their names."""

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache

from airlock_daemon.boundary.box.box import System
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.errors import AirlockError, Denied
from airlock_daemon.setup.human_git import BOX_AGENT
from airlock_daemon.setup.programs import Programs, find_program
from airlock_daemon.setup.shim_program import find_shim

RELAY = 3
"""The descriptor of the relay: the first one beside stdin, stdout and stderr."""

ASKS: Mapping[str, tuple[str, ...]] = {"git": ("git-remote",)}
"""The commands by which a broker of `[sandbox] brokers` is asked that is asked by some."""

# As git's ssh the shim goes by this name, and those of the helpers are git's own.
_SSH = "/run/airlock/git-ssh"
_HELPERS = ("git-remote-https", "git-remote-http")

# That of a fenced command, which has nothing at another place than on the host.
_COPY = "git-core"
_OPENED = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

# git's exec path in Debian and Arch, in Alpine and Fedora, and as built from its sources.
_EXEC_PATHS = ("/usr/lib/git-core", "/usr/libexec/git-core", "/usr/local/libexec/git-core")


def find_transports(programs: Programs, *, is_fenced: bool) -> Iterator[System]:
    """What git in a box has in the place of its own transports. Raises Denied without a shim.

    Behind a fence nothing has another name or place than on the host, so that it is the shim alone,
    to which `link_transports` leads.
    """
    try:
        shim = find_shim()
    except AirlockError as error:
        raise Denied(
            f"a box cannot ask for git-remote: {error.message}",
            layer="sandbox",
            rule="no-shim",
            hint=f"a person on the host can put that right: {error.hint}",
        ) from error
    if is_fenced:
        yield System(shim, shim)
        return
    yield System(shim, _SSH, is_own=True)
    yield System(shim, BOX_AGENT, is_own=True)
    for helper in dict.fromkeys(_find_helpers(programs)):
        yield System(shim, helper, is_own=True)


def transport_variables(asks: tuple[str, ...]) -> dict[str, str]:
    """What tells the programs of a box how to ask."""
    if not asks:
        return {}
    return {
        "AIRLOCK_RELAY": str(RELAY),
        "GIT_SSH_COMMAND": _SSH,
        # Without it git asks what this ssh can do, by an option that only OpenSSH has.
        "GIT_SSH_VARIANT": "ssh",
    }


TRANSPORTS = ("git-ssh", _COPY)
"""The entries that `link_transports` makes."""


def link_transports(private: Workspace, path: str) -> dict[str, str]:
    """Give the shim its names as git's transports in a directory of a fenced command.

    Returns the variables that lead there, of which PATH is `path` with git's own programs behind
    it: git looks for what it is not itself in a copy of its exec path, in which the shim stands in
    for the helpers of URLs. Where git has none there, it is the transport of ssh alone.
    """
    shim = find_shim()
    os.symlink(shim, "git-ssh", dir_fd=private.descriptor)
    variables = {
        "GIT_SSH_COMMAND": os.path.join(private.path, "git-ssh"),
        "GIT_ALLOW_PROTOCOL": "ssh:file",
    }
    directory = _find_exec_path(find_program("git", path))
    if directory is None:
        return variables
    os.mkdir(_COPY, 0o755, dir_fd=private.descriptor)
    # Its parent belongs to the user of boxes, so that it is opened before anything is put there.
    copy = os.open(_COPY, _OPENED, dir_fd=private.descriptor)
    try:
        for name, target in _list_programs(directory, os.stat(directory).st_mtime_ns):
            os.symlink(shim if name in _HELPERS else target, name, dir_fd=copy)
    finally:
        os.close(copy)
    return variables | {
        "GIT_ALLOW_PROTOCOL": "ssh:file:https:http",
        "GIT_EXEC_PATH": os.path.join(private.path, _COPY),
        "PATH": f"{path}{os.pathsep}{directory}",
    }


@lru_cache(maxsize=4)
def _list_programs(directory: str, _changed: int) -> tuple[tuple[str, str], ...]:
    """What is in an exec path, but for the names of what git itself does, by names and paths."""
    itself = os.path.join(directory, "git")
    return tuple(
        (entry.name, entry.path)
        for entry in os.scandir(directory)
        if entry.name == "git" or not _is_same(entry.path, itself)
    )


def _is_same(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def _find_exec_path(git: str | None) -> str | None:
    return next(
        (
            directory
            for directory in _list_exec_paths(git)
            if any(os.path.isfile(os.path.join(directory, name)) for name in _HELPERS)
        ),
        None,
    )


def _list_exec_paths(git: str | None) -> Iterator[str]:
    """Where the exec path of that git can be, its own prefix first."""
    if git is not None:
        prefix = os.path.dirname(os.path.dirname(os.path.realpath(git)))
        yield os.path.join(prefix, "libexec/git-core")
        yield os.path.join(prefix, "lib/git-core")
    yield from _EXEC_PATHS


def list_helpers(programs: Programs) -> Iterator[str]:
    """The paths at which git's helpers may be on this host."""
    for directory in _list_exec_paths(programs.find("git")):
        yield from (os.path.join(directory, name) for name in _HELPERS)


def _find_helpers(programs: Programs) -> Iterator[str]:
    """The files that are git's helpers on this host, one of which is often a link to the other."""
    yield from filter(os.path.isfile, map(os.path.realpath, list_helpers(programs)))
