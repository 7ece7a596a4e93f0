"""The mounts and variables of an agent's container, for all printed forms."""

import os
from collections.abc import Sequence

import msgspec

from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.bridge import BridgeVolume
from airlock_daemon.setup.generation import SOCKET_DIRECTORY, Agent, Setup
from airlock_daemon.setup.human_git import ShimSettings
from airlock_modules import GIT_REMOTE, GIT_SIGN

HOME = "/home/airlock-agent"
"""The home in each container. No image has it, so it hides nothing."""
USUAL_PROGRAMS = "/usr/local/bin"
"""A directory that precedes the image's own tools in the PATH of most images."""
OWN_PROGRAMS = "/opt/airlock-commands"
"""A directory that no image has, for images whose PATH is known and can be set."""
HOST_PROGRAMS = "/opt/airlock-host-commands"
"""The directory, last in PATH, of commands whose tool an image may have itself.

The image's own tool reaches APIs as well as the host's in a box. For an unknown image,
`airlock-shim --exec` appends the directory to PATH (`native/search_path.zig`).
"""
SHIM = "airlock-shim"
"""The shim's own name, as the entrypoint of a container with APIs."""
GIT_SSH = "git-ssh"
"""The shim's name as ssh for the container's git."""
GIT_HELPERS = ("git-remote-https", "git-remote-http")
"""The programs for such remotes in git's exec path."""
EXEC_PATHS = ("/usr/lib/git-core", "/usr/libexec/git-core", "/usr/local/libexec/git-core")
"""git's exec path in Debian and Arch, in Alpine and Fedora, and when built from source.

If an image lacks a directory, the engine creates it, and the image's git ignores it.
"""
SSH = "/usr/bin/ssh"
"""The ssh that scp, sftp, rsync and others call by its absolute path."""
LFS_AGENT = "git-lfs-agent"
"""The shim's name as transfer agent of the container's git-lfs."""
OWN_GIT = {"CARGO_NET_GIT_FETCH_WITH_CLI": "true"}
"""Variables for a container with its own git: cargo must use it to fetch its dependencies.

libgit2 cannot use the shim.
"""
UNKNOWN_SHIM = "/PATH/TO/airlock-shim"

_SPECIAL = frozenset(',"\r\n')


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """One path of the host (`source`) and its path in the container (`target`).

    With `volume` the source is a path in that volume, "" for all of it.
    """

    source: str
    target: str
    read_only: bool = False
    volume: str = ""

    @property
    def option(self) -> str:
        """The value of --mount for it, which refuses a source that does not exist.

        `docker run -v` would create it, as root's directory. It is a line of CSV (RFC 4180).
        """
        return self.describe("docker")

    def describe(self, engine: str) -> str:
        """As `option`, for the engine of this command."""
        fields = ["type=bind", f"source={self.source}"]
        if self.volume:
            fields = ["type=volume", f"source={self.volume}"]
            # Docker would copy what the image has there into the volume, and fails at a file.
            fields += ["volume-nocopy"] if engine == "docker" else []
            fields += [f"volume-subpath={self.source}"] if self.source else []
        fields += [f"target={self.target}"]
        fields += ["readonly"] if self.read_only else []
        return ",".join(_quote(field) if _SPECIAL & set(field) else field for field in fields)


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A container's mounts and variables besides the commands, such as files and a home."""

    mounts: tuple[Mount, ...] = ()
    environment: dict[str, str] = {}


class Wiring(msgspec.Struct, frozen=True, kw_only=True):
    """What gives a container an agent's socket, and the shim under its commands' names.

    `sockets` is the agent's socket directory on the host. `shim` is None if none is installed. With
    `volume`, that of the agent's bridge, both are there instead. `engine` is the engine's command.
    Of `commands`, those in `replaceable` use the image's own tool if it has one. `workspaces` may
    be empty if the user of the lines names them. `search_path` is the image's PATH, None for an
    unknown image. `machine` is empty if the container keeps the image's user. `access` has what the
    container needs to reach the agent's APIs, if any. `networks` is empty for docker's default.
    `exec_options` are for `airlock-shim --exec`, which is then the entrypoint and starts the
    image's; None if the image's own entrypoint runs first. With `signs_by_openpgp` git-sign signs
    by gpg.
    """

    sockets: str
    shim: str | None
    engine: str = "docker"
    volume: str = ""
    commands: tuple[str, ...]
    workspaces: tuple[Mount, ...]
    replaceable: tuple[str, ...] = ()
    search_path: str | None = None
    machine: Machine = Machine()
    access: Machine = Machine()
    networks: tuple[str, ...] = ()
    exec_options: tuple[str, ...] | None = None
    signs_by_openpgp: bool = False

    @property
    def entrypoint(self) -> str | None:
        """The shim as entrypoint, None if the image's own entrypoint runs first."""
        return None if self.exec_options is None else f"{self._programs}/{SHIM}"

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """The mounts besides the workspaces: read-only, except the home."""
        names = [name for name in self.commands if name != GIT_REMOTE]
        targets = [f"{self._find_directory(name)}/{name}" for name in names]
        targets += self._transports
        if {GIT_REMOTE, "ssh"} & set(self.commands):
            targets.append(SSH)
        if self.entrypoint is not None:
            targets.append(self.entrypoint)
        pairs = [(self.shim or UNKNOWN_SHIM, target) for target in targets]
        pairs = [(self.sockets, SOCKET_DIRECTORY), *pairs]
        if self.volume:
            pairs = [("", SOCKET_DIRECTORY), *((SHIM, target) for target in targets)]
        given = tuple(
            Mount(source=old, target=new, read_only=True, volume=self.volume) for old, new in pairs
        )
        return given + self.machine.mounts + self.access.mounts

    @property
    def environment(self) -> dict[str, str]:
        """The container's variables."""
        variables = self.machine.environment | self.access.environment
        if self.search_path is not None:
            last = [HOST_PROGRAMS] if self.replaceable else []
            variables["PATH"] = os.pathsep.join((OWN_PROGRAMS, self.search_path, *last))
        if self.has_own_git:
            variables |= OWN_GIT
            # A git that was set up by --install-git does the same without them.
            variables["GIT_SSH_COMMAND"] = f"{self._programs}/{GIT_SSH}"
            variables["GIT_SSH_VARIANT"] = "ssh"
            # Printed lines for a person would get too long: LFS files stay pointers, unless the
            # image was set up and the variable is left out.
            if self.search_path is None:
                variables["GIT_LFS_SKIP_SMUDGE"] = "1"
        # The host's git in a box has its own settings.
        if self.search_path is not None and "git" not in self.commands:
            agent = f"{self._programs}/{LFS_AGENT}" if self.has_own_git else None
            signer = f"{self._programs}/{GIT_SIGN}" if GIT_SIGN in self.commands else None
            settings = ShimSettings(agent=agent, signer=signer, is_openpgp=self.signs_by_openpgp)
            variables |= settings.variables
        return variables

    def _find_directory(self, command: str) -> str:
        return HOST_PROGRAMS if command in self.replaceable else self._programs

    @property
    def _programs(self) -> str:
        return USUAL_PROGRAMS if self.search_path is None else OWN_PROGRAMS

    @property
    def _transports(self) -> list[str]:
        """The paths at which the container's own git finds the shim, to reach its remotes."""
        if not self.has_own_git:
            return []
        # Lines for an unknown image stay short for a person. Except in a git built from source, the
        # first name is a symlink to the second, and its target is what is mounted.
        names = GIT_HELPERS[:1] if self.search_path is None else GIT_HELPERS
        helpers = (f"{path}/{name}" for path in EXEC_PATHS for name in names)
        agents = () if self.search_path is None else (f"{self._programs}/{LFS_AGENT}",)
        return [f"{self._programs}/{GIT_SSH}", *agents, *helpers]

    @property
    def has_own_git(self) -> bool:
        """Whether the container's own git reaches its remotes, rather than the host's."""
        return GIT_REMOTE in self.commands and "git" not in self.commands


def find_volume(setup: Setup, agent: Agent) -> BridgeVolume | None:
    """The volume of an agent's bridge, None without one. Raises AirlockError."""
    engine = agent.profile.bridge
    if engine is None:
        return None
    volume = setup.state.bridges.make(agent.name, engine)
    if volume.engine != engine:
        raise AirlockError(
            f"[bridge] of agent {agent.name} names {engine}, and its volume is at {volume.engine}",
            hint="have the daemon remove that: airlock reload; or start it",
        )
    return volume


def list_shims(agent: Agent, ceiling: Sequence[str]) -> tuple[str, ...]:
    """The commands of an agent for which the shim is mounted; `ceiling` are the enabled ones.

    A module with APIs only has none: the image's own tool does the work, or none does.
    """
    names = agent.profile.granted(ceiling)
    found = ((name, agent.modules.find(name)) for name in names)
    return tuple(name for name, module in found if module is None or module.has_command)


def list_replaceable(agent: Agent, commands: Sequence[str]) -> tuple[str, ...]:
    """Those of `commands` whose box reaches APIs or the engine, as the image's own tool can."""
    found = ((name, agent.modules.find(name)) for name in commands)
    return tuple(
        name
        for name, module in found
        if module is not None and (module.uses_apis or module.has_engine)
    )


def begin_words(wiring: Wiring, command: Sequence[str]) -> tuple[str, ...]:
    """The words after the image for `command`, with its entrypoint if the shim runs first."""
    options = () if wiring.exec_options is None else ("--exec", *wiring.exec_options)
    return (*options, *command)


def docker_words(
    wiring: Wiring, *, user: str | None, directory: str, has_terminal: bool
) -> list[tuple[str, ...]]:
    """`docker run` up to the image, in groups of related words.

    `user` is UID:GID, None for the image's own; `directory` is the container's working directory.
    """
    groups: list[tuple[str, ...]] = [
        (wiring.engine, "run", "-it" if has_terminal else "-i", "--rm")
    ]
    groups += [("--user", user)] if user is not None else []
    groups += [("--mount", mount.option) for mount in wiring.workspaces]
    groups += [("--workdir", directory)]
    groups += [("--mount", mount.describe(wiring.engine)) for mount in wiring.mounts]
    groups += [("--env", f"{name}={value}") for name, value in wiring.environment.items()]
    groups += [("--network", network) for network in wiring.networks]
    groups += [("--entrypoint", wiring.entrypoint)] if wiring.entrypoint is not None else []
    return groups


def _quote(field: str) -> str:
    return '"' + field.replace('"', '""') + '"'
