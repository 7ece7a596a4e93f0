"""How git in a box reaches its remotes: the shim, under the names of git's transports."""

import os
from collections.abc import Iterator, Mapping

from airlock_daemon.errors import AirlockError, Denied
from airlock_daemon.sandbox.box import System
from airlock_daemon.setup.programs import Programs
from airlock_daemon.setup.shim_program import find_shim
from airlock_daemon.workspace.directory import Workspace

RELAY = 3
"""The descriptor of the relay: the first one beside stdin, stdout and stderr."""

ASKS: Mapping[str, tuple[str, ...]] = {"git": ("git-remote",)}
"""The commands by which a broker of `[sandbox] brokers` is asked that is asked by some."""

# As git's ssh the shim goes by this name, and those of the helpers are git's own.
_SSH = "/run/airlock/git-ssh"
_HELPERS = ("git-remote-https", "git-remote-http")

# git's exec path in Debian and Arch, in Alpine and Fedora, and as built from its sources.
_EXEC_PATHS = ("/usr/lib/git-core", "/usr/libexec/git-core", "/usr/local/libexec/git-core")


def find_transports(programs: Programs, *, is_fenced: bool) -> Iterator[System]:
    """What git in a box has in the place of its own transports. Raises Denied without a shim.

    Behind a fence nothing has another name or place than on the host, so that it is the shim alone.
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
    yield System(shim, _SSH, is_program=True)
    for helper in dict.fromkeys(_find_helpers(programs)):
        yield System(shim, helper, is_program=True)


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


def link_transport(private: Workspace) -> dict[str, str]:
    """Give the shim its name as git's ssh in a directory of a fenced command, and say so to git.

    There git's helpers are the host's own, which reach nothing, so that https is not allowed.
    """
    os.symlink(find_shim(), "git-ssh", dir_fd=private.descriptor)
    return {
        "GIT_SSH_COMMAND": os.path.join(private.path, "git-ssh"),
        "GIT_ALLOW_PROTOCOL": "ssh:file",
    }


def _find_helpers(programs: Programs) -> Iterator[str]:
    """The files that are git's helpers on this host, one of which is often a link to the other."""
    directories = list(_EXEC_PATHS)
    program = programs.find("git")
    if program is not None:
        prefix = os.path.dirname(os.path.dirname(os.path.realpath(program)))
        directories += [
            os.path.join(prefix, "libexec/git-core"),
            os.path.join(prefix, "lib/git-core"),
        ]
    for directory in directories:
        for name in _HELPERS:
            path = os.path.realpath(os.path.join(directory, name))
            if os.path.isfile(path):
                yield path
