"""git's transports in a box, and what signs for it: the shim, under their names."""

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from airlock_daemon.boundary.box.box import System
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.errors import AirlockError, Denied
from airlock_daemon.platform.system import SEARCH
from airlock_daemon.setup.generation import Programs
from airlock_daemon.setup.human_git import ShimSettings
from airlock_daemon.setup.shim_program import find_shim
from airlock_modules import GIT_REMOTE, GIT_SIGN, Grant

RELAY = 3
"""The relay's descriptor: the first after stdin, stdout and stderr."""

_ASKS: Mapping[str, tuple[str, ...]] = {"git": (GIT_REMOTE,), "sign": (GIT_SIGN,)}

# The shim's name as git's ssh; the helpers have git's own names.
_SSH = "/run/airlock/git-ssh"
_HELPERS = ("git-remote-https", "git-remote-http")

# The copy of git's exec path for a fenced command, whose files all keep their host paths.
_COPY = "git-core"
_OPENED = SEARCH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

# git's exec path in Debian and Arch, in Alpine and Fedora, and when built from source.
_EXEC_PATHS = ("/usr/lib/git-core", "/usr/libexec/git-core", "/usr/local/libexec/git-core")


def list_requests(brokers: Iterable[str], grant: Grant, *, is_fenced: bool) -> tuple[str, ...]:
    """The commands that a box with these brokers may request, of those that the agent is granted.

    In a fence git does not sign: the settings for that name a path of the box.
    """
    commands = (command for broker in brokers for command in _ASKS.get(broker, ()))
    return tuple(
        command
        for command in commands
        if grant.grants_relayed(command) and not (is_fenced and command == GIT_SIGN)
    )


def find_transports(
    programs: Programs, asks: tuple[str, ...], *, is_fenced: bool
) -> Iterator[System]:
    """The files by which git in a box requests `asks`. Raises Denied without a shim.

    In a fence files keep their host paths, so this is the shim alone, to which `link_transports`
    links.
    """
    try:
        shim = find_shim(search_path=programs.path)
    except AirlockError as error:
        raise Denied(
            f"a box cannot ask for {' and '.join(asks)}: {error.message}",
            layer="sandbox",
            rule="no-shim",
            hint=f"a person on the host can put that right: {error.hint}",
        ) from error
    if is_fenced:
        yield System(shim, shim)
        return
    if GIT_SIGN in asks:
        yield System(shim, ShimSettings.BOX_SIGNER, is_own=True)
    if GIT_REMOTE not in asks:
        return
    yield System(shim, _SSH, is_own=True)
    yield System(shim, ShimSettings.BOX_AGENT, is_own=True)
    for helper in dict.fromkeys(_find_helpers(programs)):
        yield System(shim, helper, is_own=True)


def transport_variables(asks: tuple[str, ...]) -> dict[str, str]:
    """The variables that tell a box's programs how to ask."""
    variables = {"AIRLOCK_RELAY": str(RELAY)} if asks else {}
    if GIT_REMOTE not in asks:
        return variables
    return {
        **variables,
        "GIT_SSH_COMMAND": _SSH,
        # Otherwise git probes this ssh with an option that only OpenSSH has.
        "GIT_SSH_VARIANT": "ssh",
    }


TRANSPORTS = ("git-ssh", _COPY)
"""The entries that `link_transports` makes."""


def link_transports(private: Workspace, path: str) -> dict[str, str]:
    """Link the shim under the names of git's transports, in a fenced command's directory.

    Returns the variables for git. PATH is `path` with git's exec path appended. git looks up
    external programs in a copy of its exec path, in which the shim replaces the URL helpers. If
    git's exec path has no URL helpers, only ssh is available.
    """
    shim = find_shim(search_path=path)
    os.symlink(shim, "git-ssh", dir_fd=private.descriptor)
    variables = {
        "GIT_SSH_COMMAND": os.path.join(private.path, "git-ssh"),
        "GIT_ALLOW_PROTOCOL": "ssh:file",
    }
    directory = _find_exec_path(Programs(path).find("git"))
    if directory is None:
        return variables
    os.mkdir(_COPY, 0o755, dir_fd=private.descriptor)
    # The user of boxes owns the parent, so open the copy before anything is put into it.
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
    """The programs of an exec path by name and path, without aliases of git itself."""
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
    """Candidates for git's exec path, its own prefix first."""
    if git is not None:
        prefix = os.path.dirname(os.path.dirname(os.path.realpath(git)))
        yield os.path.join(prefix, "libexec/git-core")
        yield os.path.join(prefix, "lib/git-core")
    yield from _EXEC_PATHS


def list_helpers(programs: Programs) -> Iterator[str]:
    """The possible paths of git's helpers on this host."""
    for directory in _list_exec_paths(programs.find("git")):
        yield from (os.path.join(directory, name) for name in _HELPERS)


def _find_helpers(programs: Programs) -> Iterator[str]:
    """The files of git's helpers on this host; one is often a symlink to the other."""
    yield from filter(os.path.isfile, map(os.path.realpath, list_helpers(programs)))
