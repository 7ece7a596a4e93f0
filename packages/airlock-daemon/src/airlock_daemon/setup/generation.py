"""All configuration, loaded and checked as a whole, and each agent's part of it.

It is the face of `setup`: other rooms import from here whatever a daemon has loaded with it. What
only some need, such as `kubeconfig`, they import from its own module.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Self

import msgspec

from airlock_daemon.errors import SetupError
from airlock_daemon.files import named
from airlock_daemon.setup.agents import Agent, AgentApis, read_registration
from airlock_daemon.setup.config import BoxConfig, Config, LogConfig, Mode, find_state
from airlock_daemon.setup.findings import find_engines, find_oddities, find_unprotected
from airlock_daemon.setup.limits import HookLimits, Limits
from airlock_daemon.setup.modules import Modules
from airlock_daemon.setup.paths import (
    BRIDGED,
    BUNDLE,
    CLIENT_ENV,
    ENGINE,
    HTTPS,
    MADE_BY_DOCKER,
    NAMES,
    PUBLISHED,
    SOCKET,
    SOCKET_DIRECTORY,
    Locations,
    Reserved,
    container_directory,
    find_link,
    reserve,
)
from airlock_daemon.setup.profile import ANY_REFS, Identity, Mount, Profile
from airlock_daemon.setup.remotes import find_contradictions, find_unpinned, reaches_remotes
from airlock_daemon.setup.state import FILE as NOTES
from airlock_daemon.setup.state import NOTHING, Noted, Notes, State
from airlock_daemon.setup.trust import (
    AUTHORITIES,
    Programs,
    find_file_problem,
    find_untrusted,
    leads_through,
    list_deciding,
    list_steps,
    name_user,
)
from airlock_daemon.setup.workspaces import Unserved, Workspaces, judge_workspaces
from airlock_modules import GIT_REMOTE, Fault, Grant, Module, evaluate

if TYPE_CHECKING:
    from airlock_modules.engine import DockerGrant

__all__ = [
    "ANY_REFS",
    "BRIDGED",
    "BUNDLE",
    "CLIENT_ENV",
    "ENGINE",
    "HTTPS",
    "MADE_BY_DOCKER",
    "NAMES",
    "PUBLISHED",
    "SOCKET",
    "SOCKET_DIRECTORY",
    "Agent",
    "AgentApis",
    "BoxConfig",
    "Config",
    "Generation",
    "Identity",
    "Limits",
    "Locations",
    "LogConfig",
    "Mode",
    "Modules",
    "Mount",
    "Noted",
    "Profile",
    "Programs",
    "Reserved",
    "Setup",
    "State",
    "Workspaces",
    "container_directory",
    "find_file_problem",
    "find_link",
    "leads_through",
    "list_deciding",
    "list_steps",
    "name_user",
    "reaches_remotes",
    "read_registration",
    "reserve",
]


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides on an agent's requests. A request keeps the generation it began with.

    `grant` is the evaluator's input: ceiling, profile and active modules. `git_rules` has a
    person's rules for this agent's git, also if it has git-remote alone; the built-in module
    refuses nothing that git-remote can do. Without `pass_descriptors` all output goes through the
    daemon. `git_config` is the configuration of git in boxes, and `signs_commits` whether the
    human's git would sign its commits. `apis` are its containers'. `docker` is what its
    `docker.sock` grants, None without one. `workspaces` are all directories of the host that any
    agent's profile maps. `homes` contains the homes that its boxes keep.
    """

    agent: Agent
    grant: Grant
    git_rules: Module | None
    limits: Limits
    hook_limits: HookLimits
    reserved: Reserved
    programs: Programs
    boxes: BoxConfig
    apis: AgentApis = AgentApis()
    docker: "DockerGrant | None" = None
    workspaces: tuple[str, ...] = ()
    homes: str
    git_config: bytes = b""
    signs_commits: bool = False
    pass_descriptors: bool

    def hand_over(self, command: str, args: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """Return both; git's fetch or push over ssh becomes git-remote, if granted."""
        if command != "ssh" or not evaluate(self.grant, GIT_REMOTE, ("ssh",)).allowed:
            return command, args
        from airlock_modules import find_transport  # noqa: PLC0415 - loads ssh's arguments

        words = find_transport(args)
        return (command, args) if words is None else (GIT_REMOTE, ("ssh", *words))

    def find_command_problem(
        self, program: str, arguments: Iterable[str]
    ) -> tuple[str, str] | None:
        """Return who else could write this program or a file that it is given, and a remedy."""
        from airlock_daemon.setup import trusted_command  # noqa: PLC0415

        return trusted_command.find_command_problem(program, arguments, self.workspaces)

    def names_written(self, text: str) -> bool:
        """Whether an argument or a variable names a file that somebody else could write."""
        from airlock_daemon.setup import trusted_command  # noqa: PLC0415

        return trusted_command.find_words_problem((text,), self.workspaces) is not None

    def find_loose_authorities(self, variables: Mapping[str, str]) -> Iterator[Fault]:
        """Find what `variables` name of authorities of TLS that somebody else could write."""
        from airlock_daemon.setup import trusted_command  # noqa: PLC0415

        return trusted_command.find_loose_authorities(variables, self.workspaces)


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration without faults. `warnings` do not keep the daemon from starting.

    `generations` has each served agent's, by name, in the order of the registration; `unserved` are
    agents whose workspaces have faults. `noted` identifies their workspaces, and may not be in
    `state` yet. `shared` are the modules of `modules/`, by command; `search_path` is the PATH for
    programs.
    """

    locations: Locations
    config: Config
    generations: dict[str, Generation]
    unserved: dict[str, Unserved]
    state: State
    noted: Notes
    search_path: str
    shared: Mapping[str, Module]
    warnings: tuple[Fault, ...]

    @property
    def agents(self) -> tuple[Agent, ...]:
        """All registered agents, the unserved ones last."""
        served = (each.agent for each in self.generations.values())
        return (*served, *(each.agent for each in self.unserved.values()))

    def find_exposures(self) -> Iterator[Fault]:
        """Note what served agents may do that no box and no table of a profile bounds."""
        agents = [generation.agent for generation in self.generations.values()]
        for find in (find_unprotected, find_engines, find_unpinned):
            yield from find(agents, self.config.ceiling)

    def describe_unserved(self) -> Iterator[str]:
        """Yield why each unserved agent is not served, a line per fault."""
        for name, each in self.unserved.items():
            yield from (f"agent {name} is not served: {fault}" for fault in each.faults)

    @classmethod
    def load(
        cls,
        locations: Locations,
        *,
        noted: Notes = NOTHING,
        variables: Mapping[str, str] | None = None,
    ) -> Self:
        """Load config.toml, `modules/`, the registration and every agent's directory.

        `noted` is used for workspaces without a note in the state directory. `variables` are the
        daemon's; another process, whose own say nothing of the daemon's, has none. Raises
        SetupError with all faults of all files, even if config.toml is broken; but a workspace's
        fault only keeps its agent from being served.
        """
        faults: list[Fault] = []
        warnings: list[Fault] = []
        config = Config.load(locations.config_file, faults=faults, warnings=warnings)
        upper = config.limits if config is not None else Limits()
        shared = Modules.read_folder(locations.modules_dir, faults=faults, warnings=warnings)
        directories = read_registration(locations.agents, faults=faults) if locations.agents else {}
        agents = _read_agents(
            directories, upper=upper, shared=shared, faults=faults, warnings=warnings
        )
        workspaces = tuple(mount.source for each in agents.values() for mount in each.mounts)
        path = Programs.of(
            config.path if config is not None else None, workspaces=workspaces, warnings=warnings
        ).path
        if config is not None and any(
            _has_cluster(each, config.ceiling) for each in agents.values()
        ):
            from airlock_daemon.setup.kubeconfig import settle_clusters  # noqa: PLC0415

            agents = settle_clusters(
                agents,
                config.ceiling,
                search_path=path,
                environment=os.environ,
                workspaces=workspaces,
                warnings=warnings,
            )
        state = find_state(locations, config)
        reserved = reserve(
            locations,
            state_dir=state.directory,
            log=config.log.path if config is not None else "-",
            agents=directories,
            hooks={name: agent.hooks.paths for name, agent in agents.items()},
            search_path=path,
        )
        deciding = list_deciding(
            (locations.config_file, locations.agents, state.find(NOTES)),
            locations.modules_dir,
            directories.values(),
        )
        faults.extend(named("ownership", find_untrusted(deciding)))
        for named_there in (variables or {}, *(each.profile.env for each in agents.values())):
            if any(map(named_there.get, AUTHORITIES)):
                from airlock_daemon.setup.trusted_command import find_loose_authorities  # noqa: PLC0415

                faults.extend(named("ownership", find_loose_authorities(named_there, workspaces)))
        notes = state.read_notes(faults=faults)
        known = {
            agent.directory: {**noted.get(agent.directory, {}), **notes.get(agent.directory, {})}
            for agent in agents.values()
        }
        judged = judge_workspaces(agents, reserved, known)
        unserved = judged.unserved
        faults.extend(_find_refused(config, agents))
        if config is None or faults:
            told = (fault for each in unserved.values() for fault in each.faults)
            raise SetupError((*faults, *named("workspace", told)))
        warnings.extend(named("ownership", find_untrusted(_list_kept(locations, config))))
        programs = Programs(path)
        warnings.extend(find_oddities(locations.config_file, config, agents, shared, programs.path))
        generations = {
            name: Generation(
                agent=agent,
                grant=_grant(config, agent),
                git_rules=_find_git_rules(agent),
                limits=agent.profile.limits,
                hook_limits=config.hook_limits,
                reserved=reserved,
                programs=programs,
                boxes=config.boxes,
                apis=_find_apis(agent, config.ceiling),
                docker=_find_docker(agent, config.ceiling, locations.sockets_dir),
                workspaces=workspaces,
                homes=state.homes(name),
                pass_descriptors=config.pass_descriptors,
            )
            for name, agent in judged.served.items()
        }
        return cls(
            locations=locations,
            config=config,
            generations=generations,
            unserved=unserved,
            state=state,
            noted=judged.noted,
            search_path=path,
            shared=shared,
            warnings=tuple(warnings),
        )


def _has_cluster(agent: Agent, ceiling: tuple[str, ...]) -> bool:
    if not agent.uses_apis(ceiling):
        return False
    from airlock_daemon.setup.apis import has_cluster  # noqa: PLC0415

    return has_cluster(agent, ceiling)


def _find_apis(agent: Agent, ceiling: tuple[str, ...]) -> AgentApis:
    if not agent.uses_apis(ceiling):
        return AgentApis()
    from airlock_daemon.setup.apis import find_apis  # noqa: PLC0415

    return find_apis(agent, ceiling)


def _find_docker(agent: Agent, ceiling: tuple[str, ...], sockets_dir: str) -> "DockerGrant | None":
    """What the agent's `docker.sock` grants, with its workspaces and limits."""
    granted = agent.list_granted(ceiling)
    is_granted = agent.profile.docker is not None and "docker" in granted
    if not is_granted and not any(module.has_engine for module in granted.values()):
        return None
    from airlock_daemon.setup.engines import complete_grant  # noqa: PLC0415

    return complete_grant(agent, sockets_dir)


def _read_agents(
    directories: Mapping[str, str],
    *,
    upper: Limits,
    shared: Mapping[str, Module],
    faults: list[Fault],
    warnings: list[Fault],
) -> dict[str, Agent]:
    read = {
        name: Agent.load(
            name, directory, upper=upper, shared=shared, faults=faults, warnings=warnings
        )
        for name, directory in directories.items()
    }
    return {name: agent for name, agent in read.items() if agent is not None}


def _find_refused(config: Config | None, agents: Mapping[str, Agent]) -> Iterator[Fault]:
    """Find what contradicts itself in the agents' files, if config.toml can be read."""
    if config is None:
        return
    for agent in agents.values():
        yield from named("remotes", find_contradictions(agent, config.ceiling))
        if agent.uses_apis(config.ceiling):
            from airlock_daemon.setup.apis import find_conflicts  # noqa: PLC0415

            yield from named("api", find_conflicts(agent, config.ceiling))


def _list_kept(locations: Locations, config: Config) -> list[str]:
    """Paths that nobody else should write, although their content decides nothing."""
    log = config.log.path
    return [locations.sockets_dir, *([] if log == "-" else [log])]


def _grant(config: Config, agent: Agent) -> Grant:
    modules = {name: _find_module(agent, name) for name in config.ceiling}
    return Grant(
        ceiling=config.ceiling,
        commands=agent.profile.commands,
        modules={name: module for name, module in modules.items() if module is not None},
    )


def _find_git_rules(agent: Agent) -> Module | None:
    profile = agent.profile
    narrowed = profile.widened.get("git") or profile.narrowed.get("git")
    return narrowed or agent.modules.find_written("git")


def _find_module(agent: Agent, name: str) -> Module | None:
    profile = agent.profile
    return profile.widened.get(name) or profile.narrowed.get(name) or agent.modules.find(name)
