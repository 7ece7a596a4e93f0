"""`airlock.toml`: what one agent may use, and where."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec
from msgspec.structs import replace

from airlock_daemon.path_text import absolute
from airlock_daemon.platform.system import SEARCH, open_without_links, read_known_status
from airlock_daemon.setup.limits import Limits, read_limits
from airlock_daemon.setup.modules import Modules
from airlock_daemon.setup.paths import BRIDGED
from airlock_modules import (
    Fault,
    GitGrant,
    Module,
    SshGrant,
    TableReader,
    names_git_grant,
    narrow_module,
    read_git_grant,
)

if TYPE_CHECKING:
    from airlock_modules.engine import DockerGrant
    from airlock_modules.files.api_profile import Granted
    from airlock_modules.files.approvals import ApprovalRules
    from airlock_modules.remotes.signing import SignGrant

# ext and fd start programs of the caller's choice; file runs the hooks of a repository that the
# agent may have written. None of them can be granted.
GIT_PROTOCOLS = ("ssh", "https", "http", "git")

_REACHED = "allow"
"""The key of `[network]` for the agent's containers rather than for a command."""

ANY_REFS = ("refs/heads/**", "refs/tags/**")
"""Patterns of `[git] refs` for all branches and tags."""

USE_REFS = (
    'use [git], such as refs = ["refs/heads/agent/**"], protect = ["refs/heads/main"], '
    "delete = false"
)
"""The alternative to rules about flags of a push."""


class Identity(NamedTuple):
    """A directory's identity, whatever its path: its file system's device, and its inode."""

    device: int
    inode: int

    @classmethod
    def find(cls, path: str) -> Self:
        """Identify a directory, opened without following symlinks. Raises OSError."""
        flags = SEARCH | os.O_DIRECTORY | os.O_CLOEXEC
        descriptor = open_without_links(path, flags)
        try:
            status = read_known_status(descriptor)
        finally:
            os.close(descriptor)
        return cls(status.st_dev, status.st_ino)

    def describe(self) -> str:
        """Describe it for people: inode and device as in `stat -c '%i %Hd:%Ld'`."""
        device = f"{os.major(self.device)}:{os.minor(self.device)}"
        return f"inode {self.inode} on device {device}"


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """One directory of the host (`source`) and its path for the agent (`target`).

    `source` is absolute and normal, with `~` expanded and no symlink followed. `identity` is the
    found directory's, None before it is looked up.
    """

    target: str
    source: str
    identity: Identity | None = None


class ContainerNetwork(msgspec.Struct, frozen=True):
    """What containers may reach: destinations (HOST:PORT), and names of presets."""

    network: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A valid `airlock.toml`; empty `commands` mean all within the ceiling.

    `read_only` and `hide`, paths of the container, apply in boxes; a command outside of a box that
    they concern is refused. With `engine_socket` a container may have an engine's socket. `git`
    limits git-remote's remotes, and `names_remotes` says that the file does; `ssh` limits ssh's
    hosts; `sign` is None without `[sign]`. `approve` are the operations that wait for a person,
    None without any. `narrowed` has the modules that `[deny]` extends, and `widened` those that
    `[network]` extends. `apis` has the grants of the tables `[NAME]`, by module, `own_apis` those
    of `[api.NAME]`; `reached` is what containers reach besides. `docker` is the table `[docker]`,
    None without it. `bridge` is the command of the engine that runs the agent's containers where
    no socket of this host reaches them; None without `[bridge]`.
    """

    commands: tuple[str, ...]
    env: dict[str, str]
    mounts: tuple[Mount, ...]
    same_path: tuple[Mount, ...]
    read_only: bool
    hide: tuple[str, ...]
    host: bool
    engine_socket: bool
    git_protocols: tuple[str, ...] | None
    git: GitGrant
    names_remotes: bool
    ssh: SshGrant
    limits: Limits
    approve: "ApprovalRules | None" = None
    narrowed: Mapping[str, Module]
    widened: Mapping[str, Module]
    sign: "SignGrant | None" = None
    apis: "Mapping[str, Granted]" = {}
    own_apis: "tuple[Granted, ...]" = ()
    reached: ContainerNetwork = ContainerNetwork()
    docker: "DockerGrant | None" = None
    bridge: str | None = None

    @property
    def signs_by_openpgp(self) -> bool:
        """Whether the key of `[sign]` is one of OpenPGP."""
        return self.sign is not None and self.sign.is_openpgp

    def granted(self, ceiling: Iterable[str]) -> list[str]:
        """The enabled commands that the agent may run."""
        return [name for name in ceiling if not self.commands or name in self.commands]

    def find_approval(self, forms: Iterable[Sequence[str]]) -> str | None:
        """As `ApprovalRules.find`."""
        return None if self.approve is None else self.approve.find(forms)


def parse_profile(
    text: str, *, source: str, upper: Limits, modules: Modules, faults: list[Fault]
) -> Profile | None:
    """Parse an `airlock.toml`; adds what is wrong to `faults`.

    `modules` are the agent's, in whose syntax `[deny]` is written.
    """
    table = TableReader.parse(text, source=source, faults=faults)
    if table is None:
        return None
    if not table.has("commands"):
        table.fault(
            "commands", "is missing", 'list what this agent may run: commands = ["git-remote"]'
        )
    commands = table.strings("commands")
    env = table.table("env")
    variables = env.string_map("set")
    for name in variables:
        if not name or "=" in name:
            env.fault("set", f'"{name}" is no name of a variable', "use letters, digits and _")
    env.finish()
    workspace = table.table("workspace")
    mounts = _read_mounts(workspace)
    same_path = _read_same_path(workspace)
    read_only = workspace.boolean("read_only", default=False)
    hide = _keep_plain(workspace, "hide", workspace.strings("hide"))
    host = workspace.boolean("host", default=False)
    engine_socket = workspace.boolean("engine_socket", default=False)
    if host and (read_only or hide):
        key = "read_only" if read_only else "hide"
        workspace.fault(key, "has no meaning with host = true", "remove one of the two")
    workspace.finish()
    git = table.table("git")
    protocols = git.strings("protocols") if git.has("protocols") else None
    for name in protocols or ():
        if name not in GIT_PROTOCOLS:
            git.fault(
                "protocols",
                f'"{name}" cannot be granted',
                f"choose among {', '.join(GIT_PROTOCOLS)}",
            )
    git_grant = read_git_grant(git)
    git.finish()
    ssh_grant = _read_ssh(table)
    sign = _read_sign(table)
    limits = read_limits(table.table("limits"), upper=upper)
    approve = _read_approvals(table)
    narrowed = _read_denials(table.table("deny"), modules)
    widened, reached = _read_network(table, modules, narrowed)
    apis, own_apis = _read_apis(table, modules, git_grant, variables)
    docker = _read_docker(table)
    bridge = _read_bridge(table)
    table.finish()
    return Profile(
        commands=commands,
        env=variables,
        mounts=mounts,
        same_path=same_path,
        read_only=read_only,
        hide=hide,
        host=host,
        engine_socket=engine_socket,
        git_protocols=protocols,
        git=git_grant,
        names_remotes=names_git_grant(git),
        ssh=ssh_grant,
        sign=sign,
        limits=limits,
        approve=approve,
        narrowed=narrowed,
        widened=widened,
        apis=apis,
        own_apis=own_apis,
        reached=reached,
        docker=docker,
        bridge=bridge,
    )


def _read_bridge(table: TableReader) -> str | None:
    """Read `[bridge]`: the engine's command."""
    if not table.has("bridge"):
        return None
    bridge = table.table("bridge")
    engine = bridge.string("engine", default=BRIDGED[0])
    bridge.finish()
    if engine not in BRIDGED:
        bridge.fault(
            "engine", f'"{engine}" is no engine that is known', f"choose among {', '.join(BRIDGED)}"
        )
    return engine


def _read_docker(table: TableReader) -> "DockerGrant | None":
    """Read `[docker]`, whose code is loaded for those who write it."""
    if not table.has("docker"):
        return None
    from airlock_modules.files.docker_table import read_docker_grant  # noqa: PLC0415

    return read_docker_grant(table.table("docker"))


def _read_approvals(table: TableReader) -> "ApprovalRules | None":
    if not table.has("approve"):
        return None
    from airlock_modules.files.approvals import read_approvals  # noqa: PLC0415 - few need it

    return read_approvals(table.table("approve"))


def _read_ssh(table: TableReader) -> SshGrant:
    if not table.has("ssh"):
        return SshGrant()
    from airlock_modules import read_ssh_grant  # noqa: PLC0415

    ssh = table.table("ssh")
    grant = read_ssh_grant(ssh)
    ssh.finish()
    return grant


def _read_network(
    profile: TableReader, modules: Modules, narrowed: Mapping[str, Module]
) -> tuple[dict[str, Module], ContainerNetwork]:
    """Read `[network]`: the modules that it widens, from `narrowed` or else `modules`.

    Also what containers reach.
    """
    if not profile.has("network"):
        return {}, ContainerNetwork()
    from airlock_modules import read_presets, widen_network  # noqa: PLC0415

    widened: dict[str, Module] = {}
    network = profile.table("network")
    for command in network.names():
        if command == _REACHED:
            continue
        module = narrowed.get(command) or modules.find(command)
        if module is None:
            network.refuse(command, "names a command without a module", "correct or remove it")
        elif module.sandbox is None or module.sandbox.box != "closed":
            problem = "names a command without a closed box, whose network is not bounded"
            network.refuse(command, problem, "remove it")
        else:
            sandbox = widen_network(module.sandbox, network, command)
            widened[command] = replace(module, sandbox=sandbox)
    if not network.has(_REACHED):
        return widened, ContainerNetwork()
    if modules.find(_REACHED) is not None:
        problem = f'may mean the command "{_REACHED}" or what all containers of the agent reach'
        network.fault(_REACHED, problem, "rename the module of that command")
    return widened, ContainerNetwork(*read_presets(network, _REACHED))


def _read_sign(table: TableReader) -> "SignGrant | None":
    if not table.has("sign"):
        return None
    from airlock_modules.files.sign_table import read_sign_grant  # noqa: PLC0415

    sign = table.table("sign")
    grant = read_sign_grant(sign)
    sign.finish()
    return grant


def _read_apis(
    table: TableReader, modules: Modules, git: GitGrant, variables: Mapping[str, str]
) -> "tuple[dict[str, Granted], tuple[Granted, ...]]":
    """Read the grants of the tables `[NAME]` and `[api.NAME]`."""
    # `[git]` is the profile's own table, and the built-in git module has no API.
    names = (each for each in table.names() if each != "git" or modules.find_written(each))
    found = {name: modules.find(name) for name in names}
    named = {name: module for name, module in found.items() if module and module.apis}
    if not named and not table.has("api"):
        return {}, ()
    from airlock_daemon.setup.apis import read_apis  # noqa: PLC0415

    return read_apis(table, named, git, variables)


def _read_denials(deny: TableReader, modules: Modules) -> dict[str, Module]:
    narrowed = {}
    for command in deny.names():
        module = modules.find(command)
        if module is not None and not module.has_command:
            problem = "names a module of APIs, which has no arguments"
            deny.refuse(command, problem, f'write [{command}] deny = ["POST /path"]')
        elif module is not None and module.broker == "git":
            problem = f"names {command}, which sees places and refs, and no arguments of git"
            deny.refuse(command, problem, USE_REFS)
        elif module is None:
            # The owner relies on it; ignoring a misspelt name would leave the command unrestricted.
            deny.refuse(command, "names a command without a module", "correct or remove it")
        else:
            narrowed[command] = narrow_module(module, deny, command)
    return narrowed


def _read_mounts(table: TableReader) -> tuple[Mount, ...]:
    mounts = table.string_map("mounts")
    targets = _keep_plain(table, "mounts", tuple(mounts))
    return tuple(Mount(target=target, source=absolute(mounts[target])) for target in targets)


def _read_same_path(table: TableReader) -> tuple[Mount, ...]:
    paths = _keep_plain(table, "same_path", table.strings("same_path"))
    return tuple(Mount(target=path, source=path) for path in paths)


def _keep_plain(table: TableReader, key: str, paths: Iterable[str]) -> tuple[str, ...]:
    """Those of `paths` that are plain; the others are faults."""
    kept = []
    for path in paths:
        if _is_plain(path):
            kept.append(path)
        else:
            table.fault(key, f'"{path}" is no absolute path', "name a path of the container")
    return tuple(kept)


def _is_plain(path: str) -> bool:
    """Whether `path` is absolute, not the root, and without empty, `.` or `..` parts."""
    parts = path.split("/")
    return path.startswith("/") and path != "/" and not {"", ".", ".."} & set(parts[1:])
