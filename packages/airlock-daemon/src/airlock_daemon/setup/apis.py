"""The APIs that a profile grants to an agent's containers, and conflicts among them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING

from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.setup.agents import Agent, AgentApis
from airlock_modules import Fault, GitGrant, Module, TableReader
from airlock_modules.files.api_profile import Granted, grant_apis, read_own_apis

if TYPE_CHECKING:
    from airlock_modules.apis import Api

PLACEHOLDERS = ("{placeholder}", "{secret}")
"""Placeholders in a module's `[client]`, replaced by text that stands in for the credential."""

_LOCAL = ("localhost", "127.0.0.1", "[::1]")


def name_table(module: Module) -> str:
    """What a person has to write to grant an API of `module`."""
    has_keys = any(api.aws is not None for api in module.apis)
    lines = ' with profile = "NAME" and regions = ["eu-west-1"]' if has_keys else ""
    return f"[{module.name}]{lines}"


def refuse_ungranted(module: Module) -> Denied:
    """The refusal of every call of a tool that reaches APIs, none of which the profile grants."""
    why = f"{module.name} reaches APIs, and this agent is granted none of its"
    how = f"write {name_table(module)} in its airlock.toml{AND_RELOAD}"
    if any(api.is_cluster for api in module.apis):
        # Its profile always names one, if only by default.
        why = f"{module.name} reaches a cluster, and that of this agent could not be read"
        how = "see why: airlock check"
    return Denied(why, layer="profile", rule="apis", hint=f"a person on the host can {how}")


def find_apis(agent: Agent, ceiling: Sequence[str]) -> AgentApis:
    """The APIs of the agent's granted modules and of its profile, and its network."""
    # AWS grants nothing without a table in the profile.
    granted = [each for _, each in find_granted(agent, ceiling) if each.apis]
    granted += [each for each in agent.profile.own_apis if each.apis]
    apis = tuple(api for each in granted for api in each.apis)
    reached = agent.profile.reached
    preset: tuple[str, ...] = ()
    if reached.presets:
        from airlock_modules import PRESETS  # noqa: PLC0415 - loads the code of boxes

        preset = tuple(entry for name in reached.presets for entry in PRESETS[name])
    network = (*reached.network, *(entry for entry in preset if not _find_shared(entry, apis)))
    return AgentApis(
        apis=apis,
        clients=tuple((tuple(api.name for api in each.apis), each.client) for each in granted),
        network=tuple(dict.fromkeys(network)),
    )


def has_cluster(agent: Agent, ceiling: Sequence[str]) -> bool:
    """Whether an agent is granted a Kubernetes cluster, which its kubeconfig describes."""
    return any(api.is_cluster for _, each in find_granted(agent, ceiling) for api in each.apis)


def find_conflicts(agent: Agent, ceiling: Sequence[str]) -> Iterator[Fault]:
    """Find hosts that are granted twice, and variables that would contain a credential."""
    apis = find_apis(agent, ceiling)
    if not apis:
        return
    from airlock_modules.apis import share_hosts  # noqa: PLC0415

    source = agent.profile_file
    for number, api in enumerate(apis.apis):
        for other in apis.apis[:number]:
            pairs = ((mine, its) for mine in api.hosts for its in other.hosts)
            shared = next((mine for mine, its in pairs if share_hosts(mine, its)), None)
            if shared is not None and set(api.ports) & set(other.ports):
                problem = f"{shared} is a host of {other.name} too, so that two may decide about it"
                yield Fault(source, api.module, problem, "keep one of the two")
    for entry in agent.profile.reached.network:
        if found := _find_shared(entry, apis.apis):
            problem = f"{entry} is the API {found[0].name}, whose operations would not be judged"
            yield Fault(source, "network.allow", problem, "remove it there, or that API")
    yield from _find_boxed(agent, ceiling, apis.apis)
    for names, client in apis.clients:
        for name, text in client.env.items():
            if any(part in text for part in PLACEHOLDERS) and name in agent.profile.env:
                table = next(api.module for api in apis.apis if api.name == names[0])
                problem = (
                    f"{name} would be a credential in the container, in place of a placeholder"
                )
                remedy = f"remove it; [{table}] credential says where the daemon gets it"
                yield Fault(source, "env.set", problem, remedy)
    if "KUBECONFIG" in agent.profile.env and any(api.is_cluster for api in apis.apis):
        remedy = "remove it; [kubectl] kubeconfig and context say which cluster is meant"
        yield Fault(source, "env.set", "KUBECONFIG would lead to another file", remedy)


def find_granted(agent: Agent, ceiling: Sequence[str]) -> "Iterator[tuple[str, Granted]]":
    """Yield the name of each granted module with APIs, and what it grants in the profile."""
    profile = agent.profile
    for name, module in agent.list_granted(ceiling).items():
        if not module.apis:
            continue
        if name in profile.apis:
            yield name, profile.apis[name]
        else:
            from airlock_modules.files.api_profile import grant_apis  # noqa: PLC0415

            nothing = TableReader({}, source=agent.profile_file, faults=[])
            found = find_repositories(profile.git)
            yield name, grant_apis(module.apis, module.clients, nothing, repositories=found)


def _find_boxed(agent: Agent, ceiling: Sequence[str], apis: "Iterable[Api]") -> Iterator[Fault]:
    """Find API hosts in the network of a box that also reaches APIs."""
    profile = agent.profile
    for name, module in agent.list_granted(ceiling).items():
        if module.sandbox is None or not module.uses_apis:
            continue
        own = module.sandbox.network
        widened = profile.widened[name].sandbox if name in profile.widened else None
        for entry in own if widened is None else dict.fromkeys((*own, *widened.network)):
            if found := _find_shared(entry, apis):
                place = (module.source, "sandbox.network")
                if entry not in own:
                    place = (agent.profile_file, f"network.{name}")
                problem = (
                    f"{entry} is the API {found[0].name}, whose operations would not be judged"
                )
                yield Fault(*place, problem, "remove it there, or that API")


def _find_shared(entry: str, apis: "Iterable[Api]") -> "list[Api]":
    """The APIs that share a host with HOST:PORT."""
    from airlock_modules.apis import share_hosts  # noqa: PLC0415

    host, _, port = entry.rpartition(":")
    # A leading star matches any number of labels in HOST:PORT.
    host = host.lower().replace("*.", "**.")
    # A service on one of these names usually listens on all of them.
    hosts = _LOCAL if host in _LOCAL else (host,)
    return [
        api
        for api in apis
        if int(port) in api.ports and any(share_hosts(*pair) for pair in product(hosts, api.hosts))
    ]


_REPOSITORY = re.compile(
    r"(?:(?:ssh|https)://)?(?:[^@/]*@)?github\.com/([^/]+/[^/]+?)(?:\.git)?/?", re.IGNORECASE
)


def read_apis(
    table: TableReader, named: Mapping[str, Module], git: GitGrant, variables: Mapping[str, str]
) -> tuple[dict[str, Granted], tuple[Granted, ...]]:
    """Read the grants of the modules `named`, and the profile's own.

    `variables` are those of the profile.
    """
    repositories = find_repositories(git)
    granted = {
        name: grant_apis(
            module.apis,
            module.clients,
            table.table(name),
            repositories=repositories,
            environment=variables,
        )
        for name, module in named.items()
    }
    return granted, read_own_apis(table)


def find_repositories(git: GitGrant) -> tuple[str, ...]:
    """The repositories of github.com that an agent may push to, as `OWNER/NAME`."""
    found = (_REPOSITORY.fullmatch(place.text) for place in git.push)
    return tuple(dict.fromkeys(each[1].replace("**", "*") for each in found if each is not None))
