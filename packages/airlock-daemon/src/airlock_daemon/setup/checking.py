"""Checks all files on disk, and reports faults, findings and notes.

`find_losses` reports what an override of a built-in module loses: it replaces the built-in's rules,
environment and arguments in full, so a short override that allows one more thing also drops all of
the built-in's protections.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

import msgspec
from msgspec.structs import replace

from airlock_daemon.errors import SetupError
from airlock_daemon.path_text import is_within
from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.api_findings import find_api_oddities
from airlock_daemon.setup.files import Finding, named
from airlock_daemon.setup.findings import find_engines, find_unprotected
from airlock_daemon.setup.generation import Setup, load_setup
from airlock_daemon.setup.paths import Locations
from airlock_daemon.setup.profile import USE_REFS
from airlock_daemon.setup.remotes import find_unpinned, may_use_remotes, reaches_any
from airlock_daemon.setup.unseen_rules import list_unseen_rules, name_rules
from airlock_daemon.setup.unusable_sockets import find_unusable
from airlock_modules import (
    DEFAULT_REFS,
    GIT_REMOTE,
    GIT_SIGN,
    Fault,
    GrammarRules,
    Module,
    ModuleError,
    builtin_names,
    load_builtin,
)
from airlock_wire import quote

# The names that fit a line; `airlock show` prints them all.
_SHOWN = 3
_MAX_NAME = 60
_PLAIN = re.compile(r"[A-Za-z0-9_.,=@+ -]+")


def find_losses(
    folders: Iterable[Mapping[str, Module]], enable: Collection[str]
) -> Iterator[Fault]:
    """Compare each override of an enabled command with the built-in module of that name.

    `folders` map commands to the modules of `modules/` and of each agent's `commands/`.
    """
    known = builtin_names()
    for folder in folders:
        for name, override in folder.items():
            if name in known and name in enable:
                yield from compare(override, load_builtin(name))


def compare(override: Module, builtin: Module) -> Iterator[Fault]:
    """Yield one note for each kind of entry that `builtin` has and `override` lacks."""
    name, show = builtin.name, f"airlock show {builtin.name}"
    if isinstance(builtin.rules, GrammarRules) and not isinstance(override.rules, GrammarRules):
        paths = "" if builtin.wants_box else " and finds paths to hold in the workspace"
        yield Fault(
            override.source,
            "syntax",
            f"lacks the option table of the built-in {name}",
            f'add [syntax] options = "{name}", which sees joined and abbreviated flags{paths}',
        )
    if builtin.broker is not None and override.broker is None:
        yield Fault(
            override.source,
            "command",
            f"runs a program in the workspace; the built-in {name} is a broker of the daemon",
            f'write broker = "{builtin.broker}" in place of bin, so that the profile binds it',
        )
    for problem in _compare_permitted(override, builtin):
        yield Fault(override.source, "allow", problem, f"list what it needs, as {show} does")
    for key, verb, noun, mine, all_of_them in _list(override, builtin):
        missing = [each for each in all_of_them if each not in mine]
        if missing:
            problem = _say_missing(missing, f"the built-in {name} {verb}", noun, len(all_of_them))
            remedy = f"add what it should keep ({_show_some(missing)}) from {show}"
            yield Fault(override.source, key, problem, remedy)
    if builtin.workspace == "required" and override.workspace != "required":
        problem = f"the built-in {name} runs in a mapped directory only, this override anywhere"
        yield Fault(override.source, "exec.workspace", problem, 'add [exec] workspace = "required"')


def _list(
    override: Module, builtin: Module
) -> tuple[tuple[str, str, str, Sequence[str], Sequence[str]], ...]:
    """Key, verb, noun, and the entries of the override and of the built-in."""
    refusing = "allow.except" if override.rules.mode == "allow" else "deny.args"
    return (
        (refusing, "refuses by", "rule", _refusing(override), _refusing(builtin)),
        # A variable that a module sets cannot come from elsewhere.
        ("env.strip", "strips", "variable", (*override.strip, *override.set), builtin.strip),
        ("env.set", "sets", "variable", _settings(override), _settings(builtin)),
        ("env.inherit", "inherits", "variable", override.inherit, builtin.inherit),
        ("env.forward", "forwards", "variable", override.forward, builtin.forward),
        ("args.prepend", "prepends", "argument", override.prepend, builtin.prepend),
        ("args.append", "appends", "argument", override.append, builtin.append),
    )


def _refusing(module: Module) -> list[str]:
    """The texts of the rules that refuse, in either form of a module."""
    rules = module.rules
    if rules.mode == "deny":
        return [rule.text for rule in rules.rules.rules]
    return [rule.text for rule in rules.exceptions.rules] if isinstance(rules, GrammarRules) else []


def _settings(module: Module) -> list[str]:
    return [f"{name}={value}" for name, value in module.set.items()]


def _compare_permitted(override: Module, builtin: Module) -> Iterator[str]:
    """Yield what the override allows and the built-in does not list."""
    listed = _permitted(builtin)
    if listed is None:
        return
    name = f"the built-in {builtin.name}"
    if override.rules.mode == "deny":
        yield (f"allows all that its rules do not refuse; {name} allows {len(listed)} subcommands")
        return
    mine = _permitted(override) or {}
    commands = [command for command in mine if command not in listed]
    flags = [
        f"{command} {flag}".strip()
        for command, entries in mine.items()
        for flag in entries
        if command in listed and not {flag, "*"} & set(listed[command])
    ]
    for noun, more in (("subcommand", commands), ("flag", flags)):
        if more:
            shown, plural = _show_some(more), "" if len(more) == 1 else "s"
            yield f"allows {len(more)} {noun}{plural} more than {name}: {shown}"


def _permitted(module: Module) -> dict[str, tuple[str, ...]] | None:
    """The allowed flags by subcommand, "" for global ones; None for a module without a list."""
    rules = module.rules
    if not isinstance(rules, GrammarRules) or rules.permitted is None:
        return None
    listed = {command: each.entries for command, each in rules.permitted.commands.items()}
    for globs, each in rules.permitted.patterns:
        listed[" ".join(glob.text for glob in globs)] = each.entries
    listed[""] = (*listed.get("", ()), *rules.permitted.flags.entries)
    return listed


def _say_missing(missing: Sequence[str], does: str, noun: str, total: int) -> str:
    counted = f"{total} {noun}{'' if total == 1 else 's'}"
    lacking = "has none" if len(missing) == total else f"lacks {len(missing)}"
    return f"{does} {counted}, this override {lacking} of them"


def _show_some(texts: Sequence[str]) -> str:
    shown = [
        text if _PLAIN.fullmatch(text) and len(text) <= _MAX_NAME else quote(text, limit=_MAX_NAME)
        for text in texts[:_SHOWN]
    ]
    return ", ".join((*shown, "...") if len(texts) > _SHOWN else shown)


ANY_REFS = ("refs/heads/**", "refs/tags/**")
"""Patterns of `[git] refs` for all branches and tags."""

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


def check_files(locations: Locations, *, only: str | None = None) -> Checked:
    """Check all files, the built-in modules and the sockets directory.

    `only` names an agent, and limits findings and notes to its files and commands.
    """
    faults = (
        *named("built-in", find_builtin_faults()),
        *named("sockets", find_unusable(locations.sockets_dir)),
    )
    try:
        setup = load_setup(locations)
    except SetupError as error:
        return Checked(faults=(*faults, *_name(error.faults, locations)))
    unserved = {name: each.faults for name, each in setup.unserved.items() if only in (None, name)}
    everyone = {name: generation.agent for name, generation in setup.generations.items()}
    agents = [agent for name, agent in everyone.items() if only in (None, name)]
    own = [agent.modules.own for agent in agents]
    ceiling, path = setup.config.ceiling, setup.search_path
    odd = tuple(find_api_oddities(agents, ceiling, setup.state, path))
    checked = Checked(
        faults=(*faults, *named("workspace", (each for one in unserved.values() for each in one))),
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
