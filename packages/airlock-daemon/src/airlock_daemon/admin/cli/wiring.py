"""Mounts and variables of an agent's container, for every form in which they are printed."""

import os
from collections.abc import Sequence

import msgspec

from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.client import SOCKET_DIRECTORY
from airlock_daemon.setup.human_git import lfs_variables
from airlock_daemon.setup.remotes import BROKER

HOME = "/home/airlock-agent"
"""The home in each container. No image has it, so that it hides nothing of one."""
USUAL_PROGRAMS = "/usr/local/bin"
"""A directory that comes before that of the image's own tools in the PATH of most images."""
OWN_PROGRAMS = "/opt/airlock-commands"
"""A directory that no image has, for where its PATH is known and can be set."""
HOST_PROGRAMS = "/opt/airlock-host-commands"
"""The directory of commands whose tool an image may have itself: it comes last in PATH.

The image's own tool reaches APIs as well as the host's in a box. `airlock-shim --exec` puts the
directory there where the image is not known (`native/search_path.zig`).
"""
SHIM = "airlock-shim"
"""The shim under its own name, which begins the container of an agent with APIs."""
GIT_SSH = "git-ssh"
"""The name by which the shim is the container's git's ssh."""
GIT_HELPERS = ("git-remote-https", "git-remote-http")
"""The programs of git's exec path for such remotes."""
EXEC_PATHS = ("/usr/lib/git-core", "/usr/libexec/git-core", "/usr/local/libexec/git-core")
"""git's exec path in Debian and Arch, in Alpine and Fedora, and as built from its sources.

Where an image has no such directory the engine makes it, and its git does not look there.
"""
SSH = "/usr/bin/ssh"
"""The ssh that scp, sftp, rsync and others call by its absolute path."""
LFS_AGENT = "git-lfs-agent"
"""The name by which the shim is the transfer agent of the container's git-lfs."""
OWN_GIT = {"CARGO_NET_GIT_FETCH_WITH_CLI": "true"}
"""Variables for a container with a git of its own: cargo has git fetch its dependencies, since
libgit2 has no way to the shim.
"""
UNKNOWN_SHIM = "/PATH/TO/airlock-shim"

_SPECIAL = frozenset(',"\r\n')


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """One path of the host (`source`) and where the container has it (`target`)."""

    source: str
    target: str
    read_only: bool = False

    @property
    def option(self) -> str:
        """The value of `docker run --mount`, which refuses a source that is not there.

        `docker run -v` would make one, as a directory of root's. It is a line of CSV (RFC 4180).
        """
        fields = ["type=bind", f"source={self.source}", f"target={self.target}"]
        fields += ["readonly"] if self.read_only else []
        return ",".join(_quote(field) if _SPECIAL & set(field) else field for field in fields)


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What a container has of its user beside the commands: files, a home, and their variables."""

    mounts: tuple[Mount, ...] = ()
    environment: dict[str, str] = {}


class Wiring(msgspec.Struct, frozen=True, kw_only=True):
    """What gives a container an agent's socket, and the shim under the names of its commands.

    `sockets` is the agent's own socket directory on the host. `shim` is None where none is
    installed. Of `commands` the tools of `replaceable` are the image's own where it has them.
    `workspaces` may be empty where the one who uses the lines says where they are.
    `search_path` is the PATH of the image, None where the image is not known. `machine` is empty
    where the image's own user is left in the container. `access` is what the container has to reach
    the agent's APIs, empty where it has none. `networks` is empty for docker's own choice.
    `exec_options` are for `airlock-shim --exec`, which begins the container and starts the image's
    entrypoint; None where the image's own begins it.
    """

    sockets: str
    shim: str | None
    commands: tuple[str, ...]
    workspaces: tuple[Mount, ...]
    replaceable: tuple[str, ...] = ()
    search_path: str | None = None
    machine: Machine = Machine()
    access: Machine = Machine()
    networks: tuple[str, ...] = ()
    exec_options: tuple[str, ...] | None = None

    @property
    def entrypoint(self) -> str | None:
        """The shim that begins the container, None where the image's own entrypoint does."""
        return None if self.exec_options is None else f"{self._programs}/{SHIM}"

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """What is mounted beside the workspaces: read-only, but for the home."""
        names = [name for name in self.commands if name != BROKER]
        targets = [f"{self._find_directory(name)}/{name}" for name in names]
        targets += self._transports
        if {BROKER, "ssh"} & set(self.commands):
            targets.append(SSH)
        if self.entrypoint is not None:
            targets.append(self.entrypoint)
        pairs = [(self.shim or UNKNOWN_SHIM, target) for target in targets]
        given = tuple(
            Mount(source=old, target=new, read_only=True)
            for old, new in ((self.sockets, SOCKET_DIRECTORY), *pairs)
        )
        return given + self.machine.mounts + self.access.mounts

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the container."""
        variables = self.machine.environment | self.access.environment
        if self.search_path is not None:
            last = [HOST_PROGRAMS] if self.replaceable else []
            variables["PATH"] = os.pathsep.join((OWN_PROGRAMS, self.search_path, *last))
        if self.has_own_git:
            variables |= OWN_GIT
            # A git that was set up by --install-git does the same without them.
            variables["GIT_SSH_COMMAND"] = f"{self._programs}/{GIT_SSH}"
            variables["GIT_SSH_VARIANT"] = "ssh"
            # In lines that a person reads that would be too much: the pointers of large files stay
            # as they are, unless the image was set up and the variable is left out.
            if self.search_path is None:
                variables["GIT_LFS_SKIP_SMUDGE"] = "1"
            else:
                variables |= lfs_variables(f"{self._programs}/{LFS_AGENT}")
        return variables

    def _find_directory(self, command: str) -> str:
        return HOST_PROGRAMS if command in self.replaceable else self._programs

    @property
    def _programs(self) -> str:
        return USUAL_PROGRAMS if self.search_path is None else OWN_PROGRAMS

    @property
    def _transports(self) -> list[str]:
        """Where the container's own git finds the shim, to reach its remotes."""
        if not self.has_own_git:
            return []
        # Lines for an unknown image are read by a person. But for a git that was built from its
        # sources, the first name is a link to the second, and where it leads is what is mounted.
        names = GIT_HELPERS[:1] if self.search_path is None else GIT_HELPERS
        helpers = (f"{path}/{name}" for path in EXEC_PATHS for name in names)
        agents = () if self.search_path is None else (f"{self._programs}/{LFS_AGENT}",)
        return [f"{self._programs}/{GIT_SSH}", *agents, *helpers]

    @property
    def has_own_git(self) -> bool:
        """Whether the container's own git is to reach its remotes, and not the host's."""
        return BROKER in self.commands and "git" not in self.commands


def list_shims(agent: Agent, ceiling: Sequence[str]) -> tuple[str, ...]:
    """Those of the commands of an agent that the shim stands for; `ceiling` are those of all.

    A module of APIs alone has none: the image's own tool does the work, or none does.
    """
    names = agent.profile.granted(ceiling)
    found = ((name, agent.modules.find(name)) for name in names)
    return tuple(name for name, module in found if module is None or module.has_command)


def list_replaceable(agent: Agent, commands: Sequence[str]) -> tuple[str, ...]:
    """Those of `commands` that run in a box which reaches APIs, as the image's own tool does."""
    found = ((name, agent.modules.find(name)) for name in commands)
    return tuple(name for name, module in found if module is not None and module.uses_apis)


def begin_words(wiring: Wiring, command: Sequence[str]) -> tuple[str, ...]:
    """What stands behind the image for `command`, its entrypoint included where the shim begins."""
    options = () if wiring.exec_options is None else ("--exec", *wiring.exec_options)
    return (*options, *command)


def docker_words(
    wiring: Wiring, *, user: str | None, directory: str, has_terminal: bool
) -> list[tuple[str, ...]]:
    """`docker run` up to the image, in groups of words that belong together.

    `user` is UID:GID, None for the image's own; `directory` is where the container begins.
    """
    groups: list[tuple[str, ...]] = [("docker", "run", "-it" if has_terminal else "-i", "--rm")]
    groups += [("--user", user)] if user is not None else []
    groups += [("--mount", mount.option) for mount in wiring.workspaces]
    groups += [("--workdir", directory)]
    groups += [("--mount", mount.option) for mount in wiring.mounts]
    groups += [("--env", f"{name}={value}") for name, value in wiring.environment.items()]
    groups += [("--network", network) for network in wiring.networks]
    groups += [("--entrypoint", wiring.entrypoint)] if wiring.entrypoint is not None else []
    return groups


def _quote(field: str) -> str:
    return '"' + field.replace('"', '""') + '"'
