"""Checks all files on disk, and reports faults, findings and notes.

It also looks at what they name: the credentials of APIs, and the sockets directory.
"""

import os
import shlex
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import msgspec
from msgspec.structs import replace

from airlock_daemon.errors import SetupError
from airlock_daemon.files import Finding, named
from airlock_daemon.path_text import is_within
from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.apis import PLACEHOLDERS, find_apis, name_table
from airlock_daemon.setup.findings import find_engines, find_unprotected
from airlock_daemon.setup.generation import Setup
from airlock_daemon.setup.overrides import find_losses
from airlock_daemon.setup.paths import MADE_BY_DOCKER, Locations
from airlock_daemon.setup.profile import ANY_REFS, USE_REFS
from airlock_daemon.setup.profile_findings import list_unseen_rules, name_rules
from airlock_daemon.setup.remotes import find_unpinned, may_use_remotes, reaches_any
from airlock_daemon.setup.state import State
from airlock_daemon.setup.trust import Programs, find_file_problem, name_user
from airlock_daemon.setup.trusted_command import find_command_problem
from airlock_modules import (
    DEFAULT_REFS,
    GIT_REMOTE,
    GIT_SIGN,
    Fault,
    ModuleError,
    builtin_names,
    load_builtin,
)

if TYPE_CHECKING:
    from airlock_modules.apis import Api, Client
    from airlock_modules.apis.aws import Grant

_VERBS = {"push", "fetch", "pull", "clone", "ls-remote"}

_DOCKER_NOTES = {
    "root_binds": "lets a container with a workspace act there as root of this host",
    "network": "lets its containers reach what the engine's do: this host and its network",
    "host_ports": "lets its containers listen on 127.0.0.1 of this host",
    "builder": "lets its builds make user namespaces, in a container of your engine's",
}


def find_builtin_faults() -> tuple[Fault, ...]:
    """Read every built-in module, enabled or not, in about 0.2 s, and return their faults."""
    faults: list[Fault] = []
    for name in builtin_names():
        try:
            load_builtin(name)
        except ModuleError as error:
            faults.extend(error.faults)
    return tuple(faults)


def find_engine_grants(agents: Iterable[Agent]) -> Iterator[Finding]:
    """Note the agents whose containers may have an engine's socket, or more of an engine."""
    for agent in agents:
        docker = agent.profile.docker
        lifted = docker and {
            "root_binds": docker.root_binds,
            "network": docker.is_bridged,
            "host_ports": docker.publishes_on_host,
            "builder": bool(docker.builder),
        }
        for key in [key for key, is_lifted in (lifted or {}).items() if is_lifted]:
            yield Finding(
                agent.profile_file,
                f"docker.{key}",
                _DOCKER_NOTES[key],
                "remove it, unless that is meant",
                name="docker",
                is_note=True,
            )
        if agent.profile.engine_socket:
            yield Finding(
                agent.profile_file,
                "workspace.engine_socket",
                "lets a container have a container engine's socket, and so be root on this host",
                "remove it, unless that is meant",
                name="workspace",
                is_note=True,
            )


def find_default_refs(agents: Iterable[Agent], ceiling: Sequence[str]) -> Iterator[Finding]:
    """Note the agents whose profile does not say which refs a push may move."""
    quoted = "[" + ", ".join(f'"{each}"' for each in ANY_REFS) + "]"
    for agent in agents:
        if reaches_any(agent.list_granted(ceiling)) and not agent.profile.git.names_refs:
            yield Finding(
                agent.profile_file,
                "git.refs",
                f"is not there, so that {agent.name} may push to {', '.join(DEFAULT_REFS)} only",
                f"for all branches and tags write in [git]: refs = {quoted}",
                name="remotes",
                is_note=True,
            )


def find_unseen_rules(agents: Iterable[Agent], ceiling: Sequence[str]) -> Iterator[Finding]:
    """Find rules about git's remotes that git-remote cannot apply.

    A rule of `[deny]` without any effect is a fault instead (`find_contradictions`). The built-in
    module's are explained in its SECURITY.md.
    """
    for agent in agents:
        granted = agent.profile.granted(ceiling)
        narrowed, own = agent.profile.narrowed.get("git"), agent.modules.find("git")
        if "git" not in granted:
            # What the profile adds is a fault.
            narrowed = None
        module = narrowed or own
        if module is None or not (
            may_use_remotes(module) if "git" in granted else GIT_REMOTE in granted
        ):
            continue
        rules = list_unseen_rules(module)
        if "git" in granted:
            # The others apply to git itself.
            rules = [rule for rule in rules if _VERBS & {*rule.split()}]
        if rules:
            source = agent.profile_file if narrowed is not None else module.source
            key = "deny.git" if narrowed is not None else ""
            problem = f"{name_rules(rules)} no effect on {GIT_REMOTE}, which sees refs, not flags"
            yield Finding(source, key, problem, USE_REFS, name="remotes")


def find_git_on_host(agents: Iterable[Agent], ceiling: Sequence[str]) -> Iterator[Finding]:
    """Note the agents that use this host's git, and what that means."""
    for agent in agents:
        module = agent.list_granted(ceiling).get("git")
        if module is None:
            continue
        sandboxed = "sandboxed, with the host's programs" if module.wants_box else "without a box"
        yield Finding(
            agent.profile_file,
            "commands",
            f"git and its hooks run on this host, {sandboxed}",
            f'for images that have git, grant commands = ["{GIT_REMOTE}"] instead',
            name="remotes",
            is_note=True,
        )


def find_own_keys(agents: Iterable[Agent], ceiling: Sequence[str]) -> Iterator[Finding]:
    """Note the agents whose commits the human's own key signs."""
    for agent in agents:
        grant = agent.profile.sign
        if GIT_SIGN in agent.list_granted(ceiling) and (grant is None or grant.key is None):
            yield Finding(
                agent.profile_file,
                "sign.key",
                f"is not there, so that commits of {agent.name} are signed as your own",
                'name a key for agents in [sign], so that readers can tell: key = "~/.ssh/agents"',
                name="remotes",
                is_note=True,
            )


_MAX_LENGTH = 120
"""The most characters of the line with the problem."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Faults, which `start` refuses; findings, of which it warns; notes, which may be intended.

    `agents` are the names of those that would be served, none if the files have faults. `unserved`
    are those kept from it only by faults of their workspaces.
    """

    LOOKED_AT: ClassVar[Mapping[str, str]] = {
        "layout": "the files as a whole: they are of this release, and no earlier one",
        "config": "config.toml: what may run at all",
        "registration": "the file of --agents: which agents there are",
        "profile": "each agent's airlock.toml: what it may run",
        "module": "modules of agents and of the host: rules without effect, modules without use",
        "hook": "each agent's hooks/: hooks that cannot be run, and files that are none",
        "program": "the programs of enabled commands, and the PATH that they are taken from",
        "workspace": (
            "directories that profiles map: links, nested ones, those with Airlock's files"
        ),
        "box": "whether boxes can be had, which have the home, and which lead to an engine",
        "ownership": "who else could write these files, the sockets directory and the log",
        "sockets": "the sockets directory: the daemon's user can make sockets there",
        "remotes": (
            "where git-remote and ssh may go, who is unpinned, and whose git runs on this host"
        ),
        "api": "APIs: hosts granted twice, credentials that are not there, tokens that reach far",
        "override": "what overrides of built-in modules give up",
        "built-in": "the built-in modules",
    }
    """What is checked, by the name of its findings, with a description."""

    faults: tuple[Finding, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    agents: tuple[str, ...] = ()
    unserved: tuple[str, ...] = ()

    @classmethod
    def of(cls, locations: Locations, *, only: str | None = None) -> "Checked":
        """Check all files, the built-in modules and the sockets directory.

        `only` names an agent, and limits findings and notes to its files and commands.
        """
        faults = (
            *named("built-in", find_builtin_faults()),
            *named("sockets", find_unusable(locations.sockets_dir)),
        )
        try:
            setup = Setup.load(locations)
        except SetupError as error:
            return cls(faults=(*faults, *_name(error.faults, locations)))
        unserved = {
            name: each.faults for name, each in setup.unserved.items() if only in (None, name)
        }
        everyone = {name: generation.agent for name, generation in setup.generations.items()}
        agents = [agent for name, agent in everyone.items() if only in (None, name)]
        own = [agent.modules.own for agent in agents]
        ceiling, path = setup.config.ceiling, setup.search_path
        odd = tuple(find_api_oddities(agents, ceiling, setup.state, path))
        checked = cls(
            faults=(
                *faults,
                *named("workspace", (each for one in unserved.values() for each in one)),
            ),
            findings=(
                *_name(setup.warnings, locations),
                *find_unseen_rules(agents, setup.config.ceiling),
                *(each for each in odd if not each.is_note),
            ),
            notes=(
                *named("override", find_losses([setup.shared, *own], setup.config.ceiling)),
                *find_unprotected(agents, setup.config.ceiling),
                *find_engines(agents, setup.config.ceiling),
                *find_engine_grants(agents),
                *find_unpinned(agents, setup.config.ceiling),
                *find_default_refs(agents, setup.config.ceiling),
                *find_git_on_host(agents, setup.config.ceiling),
                *find_own_keys(agents, setup.config.ceiling),
                *(each for each in odd if each.is_note),
            ),
            agents=tuple(everyone),
            unserved=tuple(unserved),
        )
        return checked if only is None else _narrow(checked, setup, only)

    def describe(self, config_dir: str) -> Iterator[str]:
        """Yield each finding once: a line with the problem, and an indented one with the remedy.

        Equal findings in several files are merged. Files in `config_dir` have relative names.
        """
        for kind in ("faults", "findings", "notes"):
            same: dict[tuple[str, str, str, str], list[str]] = {}
            for each in getattr(self, kind):
                places = same.setdefault((each.name, each.key, each.problem, each.remedy), [])
                places.append(each.source.removeprefix(os.path.join(config_dir, "")))
            for (name, *said), places in same.items():
                yield from _lay_out(f"{kind[:-1]}: {name}: ", Fault(places[0], *said))
                if others := dict.fromkeys(places[1:]):
                    yield f"    also in {', '.join(others)}"


def _lay_out(label: str, fault: Fault) -> Iterator[str]:
    """Format `fault` as two lines; a first line that is too long moves the file to the second."""
    said = str(fault).removesuffix(f"; {fault.remedy}")
    if len(label) + len(said) <= _MAX_LENGTH:
        yield label + said
        yield f"    {fault.remedy}"
    else:
        yield label + said.removeprefix(f"{fault.source}: ")
        yield f"    {fault.source}: {fault.remedy}"


def _narrow(checked: Checked, setup: Setup, name: str) -> Checked:
    """Drop findings and notes about other agents' files and commands."""
    agent = next(each for each in setup.agents if each.name == name)
    granted = agent.list_granted(setup.config.ceiling)
    sources = {module.source for module in granted.values()}

    def concerns(found: Finding) -> bool:
        return found.source in sources or is_within(found.source, agent.directory)

    return replace(
        checked,
        findings=tuple(filter(concerns, checked.findings)),
        notes=tuple(filter(concerns, checked.notes)),
    )


def _name(faults: Iterable[Fault], locations: Locations) -> Iterator[Finding]:
    """Name faults without a name by the kind of their file."""
    for fault in faults:
        if isinstance(fault, Finding):
            yield fault
        else:
            yield from named(_name_file(fault.source, locations), (fault,))


def _name_file(path: str, locations: Locations) -> str:
    folder, name = os.path.split(path)
    if path == locations.config_file:
        return "config"
    if path == locations.agents:
        return "registration"
    if "hooks" in (name, os.path.basename(folder)):
        return "hook"
    if name.endswith(".toml") and name != Agent.PROFILE:
        return "module"
    return "profile"


def find_api_oddities(
    agents: Iterable[Agent], ceiling: Sequence[str], state: State, search_path: str
) -> Iterator[Finding]:
    """Find missing credentials, tokens with wide access, and presets that allow data out."""
    agents = tuple(agents)
    workspaces = tuple(mount.source for each in agents for mount in each.mounts)
    for agent in agents:
        source = agent.profile_file
        found = find_apis(agent, ceiling)
        for module in agent.list_granted(ceiling).values():
            # A cluster that cannot be read has been told of.
            if not module.uses_apis or any(api.is_cluster for api in module.apis):
                continue
            if not any(api.module == module.name for api in found.apis):
                problem = "is missing, so that every call is refused"
                remedy = f"write {name_table(module)}"
                yield Finding(source, module.name, problem, remedy, name="api")
        used = {name for names, client in found.clients for name in names if _has_any(client)}
        for api in found.apis:
            written = _find_written(api, workspaces, search_path)
            if written is not None:
                yield Finding(source, f"{api.module}.credential", *written, name="api")
            missing = _find_missing(agent.name, api, state, search_path)
            # Tools such as package managers work without a credential.
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


def _find_wide(source: str, api: "Api") -> Iterator[Finding]:
    """Find a token that reaches more than the repositories, or a grant of no repository."""
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
    """Find an `[aws]` table that grants nothing, as it lacks a profile or regions."""
    if grant.profile is None:
        remedy = 'write profile = "NAME", one of ~/.aws/config with few rights'
        problem = "is missing, so that every call is refused"
        yield Finding(source, "aws.profile", problem, remedy, name="api")
    if not grant.regions:
        problem = "is missing, so that every call is refused"
        yield Finding(source, "aws.regions", problem, 'write regions = ["eu-west-1"]', name="api")


def _has_any(client: "Client") -> bool:
    """Whether tools get a placeholder, and so use the credential."""
    texts = (*client.env.values(), *client.files.values())
    return any(part in text for part in PLACEHOLDERS for text in texts)


def _find_written(
    api: "Api", workspaces: Sequence[str], search_path: str
) -> tuple[str, str] | None:
    """Return why a credential's file or program is not trusted, and a remedy; None if it is."""
    source = None if api.credential is None else api.credential.source
    if source is None or source.kind not in ("command", "file"):
        return None
    path = os.path.expanduser(source.words[0])
    if source.kind == "file":
        return find_file_problem(path, workspaces)
    program = Programs(search_path).find(path)
    if program is None:
        return None
    return find_command_problem(program, source.words[1:], workspaces)


def _find_missing(agent: str, api: "Api", state: State, search_path: str) -> tuple[str, str] | None:
    """Return what an API's credential lacks, and a remedy; None if nothing."""
    source = None if api.credential is None else api.credential.source
    if source is None:
        return None
    word = source.words[0]
    if source.kind == "stored" and state.secrets.find(word, agent) is None:
        return f"no credential is stored for {word}", f"airlock login {word}"
    if source.kind == "file" and not os.path.exists(os.path.expanduser(word)):
        return f"{word} is not there", "create it, readable by you alone"
    if source.kind == "command" and Programs(search_path).find(os.path.expanduser(word)) is None:
        remedy = f'install it, or write [{api.module}] credential = {{ stored = "NAME" }}'
        return f'"{word}" is not an executable on the daemon\'s PATH', remedy
    return None


def find_unusable(path: str) -> Iterator[Fault]:
    """Find what keeps the current user from serving in the sockets directory `path`.

    It may be missing. Each remedy is a command; for a directory made by docker it also removes
    others' access, so that sockets in it may be open to every user of a container.
    """
    user = os.geteuid()
    if not os.path.lexists(path):
        yield from _find_unmakeable(path, user)
        return
    if not os.path.isdir(path):
        yield Fault(
            path, "", "is no directory", f"look at what it is, then: rm {shlex.quote(path)}"
        )
        return
    quoted = shlex.quote(path)
    own = f"sudo chown -R {user} {quoted} && chmod 700 {quoted}"
    if not _may_write(path):
        owner = os.stat(path).st_uid
        if owner == user:
            yield Fault(path, "", "is not writable", f"chmod u+rwx {quoted}")
        else:
            yield Fault(path, "", _say_owner(owner), own)
        return
    for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
        info = entry.stat(follow_symlinks=False)
        # The daemon must set the mode of an agent's directory, which only its owner and root may.
        if stat.S_ISDIR(info.st_mode) and info.st_uid != user != 0:
            yield Fault(entry.path, "", _say_owner(info.st_uid), own)


def _find_unmakeable(path: str, user: int) -> Iterator[Fault]:
    parent = os.path.dirname(path)
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    if not _may_write(parent):
        remedy = f"sudo install -d -m 700 -o {user} {shlex.quote(path)}"
        yield Fault(path, "", f"cannot be made, as {parent} is not writable", remedy)


def _may_write(directory: str) -> bool:
    # By the effective user, if the system supports it.
    effective = os.access in os.supports_effective_ids
    return os.access(directory, os.W_OK | os.X_OK, effective_ids=effective)


def _say_owner(user: int) -> str:
    reason = f" ({MADE_BY_DOCKER})" if user == 0 else ""
    return f"belongs to {name_user(user)}{reason}"
