"""The registration file and the agents' directories."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import msgspec

from airlock_daemon.errors import SetupError
from airlock_daemon.files import list_entries, read_text
from airlock_daemon.path_text import absolute
from airlock_daemon.setup.limits import Limits
from airlock_daemon.setup.modules import Modules
from airlock_daemon.setup.profile import ContainerNetwork, Mount, Profile, parse_profile
from airlock_daemon.setup.trust import Programs
from airlock_modules import Fault, Module, TableReader, is_name

if TYPE_CHECKING:
    from airlock_modules.apis import Api, Client


class Hooks(msgspec.Struct, frozen=True, kw_only=True):
    """The paths of an agent's hooks, executable or not.

    `ignored` are the other files in `hooks/`.
    """

    pre_exec: str | None = None
    post_exec: str | None = None
    ignored: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the hooks that exist."""
        return tuple(path for path in (self.pre_exec, self.post_exec) if path is not None)


def find_hooks(entries: Sequence[str]) -> Hooks:
    """Find the hooks among all paths in `hooks/`."""
    named = {os.path.basename(path): path for path in entries}
    pre_exec, post_exec = named.pop("pre-exec", None), named.pop("post-exec", None)
    return Hooks(pre_exec=pre_exec, post_exec=post_exec, ignored=tuple(named.values()))


def review_hooks(hooks: Hooks) -> Iterator[Fault]:
    """Yield faults for hooks that are not executable, and for files that are no hooks."""
    for path, effect in (
        (hooks.pre_exec, "every request of this agent is refused"),
        (hooks.post_exec, "output is passed on without it"),
    ):
        if path is not None and Programs("").find(path) is None:
            problem = f"is no executable file, so that {effect}"
            yield Fault(path, "", problem, f"make it one (chmod +x {path}), or move it away")
    for path in hooks.ignored:
        yield Fault(
            path, "", "is ignored", "name a hook pre-exec or post-exec, or move the file away"
        )


class AgentApis(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent's containers reach through the HTTPS broker; false if nothing.

    `clients` has what tools get, with the names of the APIs that it is for. `network` are
    destinations (HOST:PORT) without a credential.
    """

    apis: "tuple[Api, ...]" = ()
    clients: "tuple[tuple[tuple[str, ...], Client], ...]" = ()
    network: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything can be reached."""
        return bool(self.apis or self.network)

    def find(self, name: str) -> "Api | None":
        """The API with this name."""
        return next((api for api in self.apis if api.name == name), None)


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """One registered client; `modules` are those of its `commands/` and its host's."""

    PROFILE: ClassVar[str] = "airlock.toml"
    """The name of the profile in an agent's directory."""

    name: str
    directory: str
    profile: Profile
    modules: Modules
    hooks: Hooks = Hooks()

    @property
    def profile_file(self) -> str:
        """The path of its airlock.toml."""
        return os.path.join(self.directory, Agent.PROFILE)

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """All directories that its profile maps."""
        return (*self.profile.same_path, *self.profile.mounts)

    def list_granted(self, ceiling: Iterable[str]) -> dict[str, Module]:
        """The modules of the enabled commands that the agent may run, by command."""
        found = {name: self.modules.find(name) for name in self.profile.granted(ceiling)}
        return {name: module for name, module in found.items() if module is not None}

    def uses_apis(self, ceiling: Iterable[str]) -> bool:
        """Whether the profile may let its containers reach anything through the HTTPS broker."""
        profile = self.profile
        return bool(profile.own_apis or profile.reached != ContainerNetwork()) or any(
            module.apis for module in self.list_granted(ceiling).values()
        )

    @staticmethod
    def load(
        name: str,
        directory: str,
        *,
        upper: Limits,
        shared: Mapping[str, Module],
        faults: list[Fault],
        warnings: list[Fault],
    ) -> "Agent | None":
        """Read one agent's directory; None if its profile cannot be parsed.

        `shared` are the modules of `modules/` beside config.toml.
        """
        if not os.path.isdir(directory):
            faults.append(
                Fault(directory, "", f'agent "{name}" has no such directory', "correct its path")
            )
            return None
        source = os.path.join(directory, Agent.PROFILE)
        remedy = 'create it with: commands = ["git-remote"]'
        text = read_text(source, faults=faults, remedy=remedy)
        if text is None:
            return None
        if not text.strip():
            faults.append(Fault(source, "", "is empty", remedy))
            return None
        own = Modules.read_folder(
            os.path.join(directory, "commands"), faults=faults, warnings=warnings
        )
        modules = Modules(own=own, shared=shared)
        profile = parse_profile(text, source=source, upper=upper, modules=modules, faults=faults)
        hooks = find_hooks(list_entries(os.path.join(directory, "hooks"), faults=faults))
        if profile is None:
            return None
        return Agent(name=name, directory=directory, profile=profile, modules=modules, hooks=hooks)

    @staticmethod
    def load_registered(registered: Mapping[str, str]) -> "tuple[Agent, ...]":
        """All registered agents, for the sake of their workspaces.

        Raises SetupError if a fault could hide one of these; others are none here.
        """
        faults: list[Fault] = []
        agents = []
        for name, directory in registered.items():
            found: list[Fault] = []
            agent = Agent.load(
                name, directory, upper=Limits(), shared={}, faults=found, warnings=[]
            )
            if agent is not None:
                agents.append(agent)
                found = [each for each in found if each.key.startswith("workspace")]
            faults += found
        if faults:
            raise SetupError(tuple(faults))
        return tuple(agents)


def read_registration(path: str, *, faults: list[Fault]) -> dict[str, str]:
    """Read the file of `--agents`; returns each agent's absolute directory by name."""
    text = read_text(path, faults=faults, remedy="name an existing file with --agents")
    table = TableReader.parse(text, source=path, faults=faults) if text is not None else None
    if table is None:
        return {}
    directories = {}
    for name, entry in table.tables().items():
        directory = entry.string("path", required=True)
        entry.finish()
        if not is_name(name):
            table.fault(
                name, "is no name for an agent", "use letters, digits, '.', '_' and '-', 64 at most"
            )
        elif directory:
            directories[name] = absolute(directory, base=os.path.dirname(path))
    table.finish()
    return directories
