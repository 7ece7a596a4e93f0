"""The APIs that an agent's containers use without a credential, and what is odd about them."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING

import msgspec

from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.finding import Finding
from airlock_daemon.setup.profile import find_repositories
from airlock_daemon.setup.programs import find_program
from airlock_daemon.setup.state import State
from airlock_daemon.setup.stored import find_stored
from airlock_daemon.setup.trust import find_command_problem, find_file_problem
from airlock_daemon.setup.workspaces import list_mounts
from airlock_modules import PRESETS, Fault, TableReader

if TYPE_CHECKING:
    from airlock_modules.apis import Api, Client
    from airlock_modules.apis.aws import Grant
    from airlock_modules.files.api_profile import Granted


PLACEHOLDERS = ("{placeholder}", "{secret}")
"""What stands for a credential in what a module gives to tools."""

_LOCAL = ("localhost", "127.0.0.1", "[::1]")


class AgentApis(msgspec.Struct, frozen=True, kw_only=True):
    """What the containers of an agent reach by the broker for HTTPS; false where that is nothing.

    `clients` has what tools are given, beside the names of the APIs that it is for. `network` are
    destinations without a credential, HOST:PORT.
    """

    apis: "tuple[Api, ...]" = ()
    clients: "tuple[tuple[tuple[str, ...], Client], ...]" = ()
    network: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to reach."""
        return bool(self.apis or self.network)

    def find(self, name: str) -> "Api | None":
        """The API of this name."""
        return next((api for api in self.apis if api.name == name), None)


def find_apis(agent: Agent, ceiling: Sequence[str]) -> AgentApis:
    """What the modules that an agent is granted have of APIs, and what its profile adds."""
    # Of AWS there is nothing without a table in the profile.
    granted = [each for _, each in find_granted(agent, ceiling) if each.apis]
    granted += [each for each in agent.profile.own_apis if each.apis]
    apis = tuple(api for each in granted for api in each.apis)
    reached = agent.profile.reached
    preset = (entry for name in reached.presets for entry in PRESETS[name])
    network = (*reached.network, *(entry for entry in preset if not _find_shared(entry, apis)))
    return AgentApis(
        apis=apis,
        clients=tuple((tuple(api.name for api in each.apis), each.client) for each in granted),
        network=tuple(dict.fromkeys(network)),
    )


def has_cluster(agent: Agent, ceiling: Sequence[str]) -> bool:
    """Whether an agent is granted a cluster of Kubernetes, which the kubeconfig describes."""
    return any(api.is_cluster for _, each in find_granted(agent, ceiling) for api in each.apis)


def find_conflicts(agent: Agent, ceiling: Sequence[str]) -> Iterator[Fault]:
    """Find hosts that are granted twice, and variables that would hold a credential themselves."""
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


def find_api_oddities(
    agents: Iterable[Agent], ceiling: Sequence[str], state: State, search_path: str
) -> Iterator[Finding]:
    """Find credentials that are not there, tokens that reach far, and presets that let data out."""
    agents = tuple(agents)
    workspaces = tuple(mount.source for each in agents for mount in list_mounts(each))
    for agent in agents:
        source = agent.profile_file
        found = find_apis(agent, ceiling)
        used = {name for names, client in found.clients for name in names if _has_any(client)}
        for api in found.apis:
            written = _find_written(api, workspaces, search_path)
            if written is not None:
                yield Finding(source, f"{api.module}.credential", *written, name="api")
            missing = _find_missing(agent.name, api, state, search_path)
            # Packages, say, are installed without one.
            if missing is not None and api.name in used:
                yield Finding(source, f"{api.module}.credential", *missing, name="api")
            if api.repositories is not None:
                yield from _find_wide(source, api)
            if api.aws is not None:
                yield from _find_unusable(source, api.aws)
        if agent.profile.reached.presets:
            problem = "lets data out to whoever publishes a package or an extension there"
            remedy = "list the hosts that are needed, or grant npm and pypi, which only read"
            yield Finding(source, "network.allow", problem, remedy, name="api", is_note=True)


def describe_api(api: "Api") -> str:
    """What `profile show` tells of an API in a line."""
    if api.aws is not None:
        return _describe_aws(api.aws)
    hosts = ", ".join(api.hosts)
    ports = "" if api.ports == (443,) else f" ports {', '.join(map(str, api.ports))}"
    credential = "no credential"
    if api.credential is not None:
        source = api.credential.source
        credential = f"credential of {source.kind} {' '.join(source.words)}"
    bound = (
        "" if api.repositories is None else f"; {', '.join(api.repositories) or 'no repository'}"
    )
    return f"{hosts}{ports}; {credential}; {len(api.allow)} rules{bound}"


def _describe_aws(grant: "Grant") -> str:
    regions = ", ".join((*grant.regions, *(["global services"] if grant.has_global else [])))
    place = "AWS" if grant.endpoint is None else grant.endpoint
    buckets = ", ".join(grant.buckets) or "no bucket"
    rules = len(grant.allow) + len(grant.deny)
    profile = grant.profile or "no profile"
    return f"{place} as {profile} in {regions or 'no region'}; {buckets}; {rules} rules"


def find_granted(agent: Agent, ceiling: Sequence[str]) -> "Iterator[tuple[str, Granted]]":
    """What the modules of APIs grant, by the name of each, as the profile has it."""
    profile = agent.profile
    for name in profile.granted(ceiling):
        module = agent.modules.find(name)
        if module is None or not module.apis:
            continue
        if name in profile.apis:
            yield name, profile.apis[name]
        else:
            from airlock_modules.files.api_profile import grant_apis  # noqa: PLC0415

            nothing = TableReader({}, source=agent.profile_file, faults=[])
            found = find_repositories(profile.git)
            yield name, grant_apis(module.apis, module.clients, nothing, repositories=found)


def _find_boxed(agent: Agent, ceiling: Sequence[str], apis: "Iterable[Api]") -> Iterator[Fault]:
    """Find hosts of APIs in the network of a box from which APIs are reached."""
    profile = agent.profile
    for name in profile.granted(ceiling):
        module = agent.modules.find(name)
        if module is None or module.sandbox is None or not module.uses_apis:
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
    """The APIs that have a host in common with HOST:PORT."""
    from airlock_modules.apis import share_hosts  # noqa: PLC0415

    host, _, port = entry.rpartition(":")
    # A star before a name stands for all that is below it there.
    host = host.lower().replace("*.", "**.")
    # What this host serves at one of these is mostly at the others too.
    hosts = _LOCAL if host in _LOCAL else (host,)
    return [
        api
        for api in apis
        if int(port) in api.ports and any(share_hosts(*pair) for pair in product(hosts, api.hosts))
    ]


def _find_wide(source: str, api: "Api") -> Iterator[Finding]:
    """Tell of a token that reaches more than the repositories, and of a grant without any."""
    key = f"{api.module}.repositories"
    words = () if api.credential is None else api.credential.source.words
    if not api.repositories:
        problem = "names no repository, and [git] push none at github.com: nothing can be read"
        yield Finding(source, key, problem, 'write repositories = ["OWNER/NAME"]', name="api")
    if api.wide:
        problem = "lets this agent use a token that reaches other repositories: GraphQL reads them"
        remedy = f"prefer a fine-grained token for these alone: airlock login {api.module}"
        yield Finding(source, f"{api.module}.wide", problem, remedy, name="api", is_note=True)
    elif words == ("gh", "auth", "token"):
        problem = (
            "is the token of gh auth login, which reaches all your repositories and is refused"
        )
        remedy = (
            f"make a fine-grained token for these alone (airlock login {api.module}, "
            f'credential = {{ stored = "{api.module}" }}), or write wide = true'
        )
        yield Finding(source, f"{api.module}.credential", problem, remedy, name="api")


def _find_unusable(source: str, grant: "Grant") -> Iterator[Finding]:
    """Tell of a table that grants nothing, since it does not say of whom or where."""
    if grant.profile is None:
        remedy = 'write profile = "NAME", one of ~/.aws/config with few rights'
        problem = "is missing, so that every call is refused"
        yield Finding(source, "aws.profile", problem, remedy, name="api")
    if not grant.regions:
        problem = "is missing, so that every call is refused"
        yield Finding(source, "aws.regions", problem, 'write regions = ["eu-west-1"]', name="api")


def _has_any(client: "Client") -> bool:
    """Whether tools are given a placeholder, and so use the credential."""
    texts = (*client.env.values(), *client.files.values())
    return any(part in text for part in PLACEHOLDERS for text in texts)


def _find_written(
    api: "Api", workspaces: Sequence[str], search_path: str
) -> tuple[str, str] | None:
    """Tell why the file or program of a credential is not believed, and what helps."""
    source = None if api.credential is None else api.credential.source
    if source is None or source.kind not in ("command", "file"):
        return None
    path = os.path.expanduser(source.words[0])
    if source.kind == "file":
        return find_file_problem(path, workspaces)
    program = find_program(path, search_path)
    if program is None:
        return None
    return find_command_problem(program, source.words[1:], workspaces)


def _find_missing(agent: str, api: "Api", state: State, search_path: str) -> tuple[str, str] | None:
    """What is missing of the credential of an API, and what helps."""
    source = None if api.credential is None else api.credential.source
    if source is None:
        return None
    word = source.words[0]
    if source.kind == "stored" and find_stored(state, word, agent) is None:
        return f"no credential is stored for {word}", f"airlock login {word}"
    if source.kind == "file" and not os.path.exists(os.path.expanduser(word)):
        return f"{word} is not there", "create it, readable by you alone"
    if source.kind == "command" and find_program(os.path.expanduser(word), search_path) is None:
        remedy = f'install it, or write [{api.module}] credential = {{ stored = "NAME" }}'
        return f'"{word}" is not an executable on the daemon\'s PATH', remedy
    return None
