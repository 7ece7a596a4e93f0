"""Everything that can be said of the files on disk, good and bad."""

import os
from collections.abc import Iterable, Iterator

import msgspec
from msgspec.structs import replace

from airlock_daemon.errors import SetupError
from airlock_daemon.setup.agents import PROFILE
from airlock_daemon.setup.apis import find_api_oddities
from airlock_daemon.setup.finding import Finding, named
from airlock_daemon.setup.findings import find_builtin_faults
from airlock_daemon.setup.homes import find_engine_grants, find_engines, find_unprotected
from airlock_daemon.setup.load import Setup, load_setup
from airlock_daemon.setup.overrides import find_losses
from airlock_daemon.setup.paths import Locations
from airlock_daemon.setup.remotes import (
    find_default_refs,
    find_git_on_host,
    find_unpinned,
    find_unseen_rules,
)
from airlock_daemon.setup.reserved import is_within
from airlock_daemon.setup.sockets_directory import find_unusable
from airlock_modules import Fault

LOOKED_AT = {
    "layout": "the files as a whole: they are of this release, and no earlier one",
    "config": "config.toml: what may run at all",
    "registration": "the file of --agents: which agents there are",
    "profile": "each agent's airlock.toml: what it may run",
    "module": "modules of agents and of the host: rules without effect, modules without use",
    "hook": "each agent's hooks/: hooks that cannot be run, and files that are none",
    "program": "the programs of enabled commands, and the PATH that they are taken from",
    "workspace": "directories that profiles map: links, nested ones, those with Airlock's files",
    "box": "whether boxes can be had, which have the home, and which lead to an engine",
    "ownership": "who else could write these files, the sockets directory and the log",
    "sockets": "the sockets directory: the daemon's user can make sockets there",
    "remotes": "where git-remote and ssh may go, who is unpinned, and whose git runs on this host",
    "api": "APIs: hosts granted twice, credentials that are not there, tokens that reach far",
    "override": "what overrides of built-in modules give up",
    "built-in": "the built-in modules",
}
"""What is looked at: the name that all carry that is found there, and what it is."""

_LONGEST = 120
"""Of the line that says what is wrong."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Faults, which `start` refuses; findings, of which it warns; notes, which may be meant.

    `agents` are the names of those that would be served, none where there are faults in the files.
    `unserved` are those that only faults of their workspaces keep from that.
    """

    faults: tuple[Finding, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    agents: tuple[str, ...] = ()
    unserved: tuple[str, ...] = ()

    def describe(self, config_dir: str) -> Iterator[str]:
        """Return each finding once: a line with what is wrong, and an indented one with the remedy.

        The same in several files is one finding. Files in `config_dir` are named relative to it.
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
    """Write `fault` as two lines; where the first would be too long, its file is on the second."""
    said = str(fault).removesuffix(f"; {fault.remedy}")
    if len(label) + len(said) <= _LONGEST:
        yield label + said
        yield f"    {fault.remedy}"
    else:
        yield label + said.removeprefix(f"{fault.source}: ")
        yield f"    {fault.source}: {fault.remedy}"


def check_files(locations: Locations, *, only: str | None = None) -> Checked:
    """Read everything, the built-in modules included, and look at the sockets directory.

    `only` names an agent: then findings and notes are those of its files and of its commands.
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
            *(each for each in odd if each.is_note),
        ),
        agents=tuple(everyone),
        unserved=tuple(unserved),
    )
    return checked if only is None else _narrow(checked, setup, only)


def _narrow(checked: Checked, setup: Setup, name: str) -> Checked:
    """Leave out what other agents' files and commands have."""
    agent = next(each for each in setup.agents if each.name == name)
    modules = map(agent.modules.find, agent.profile.granted(setup.config.ceiling))
    sources = {module.source for module in modules if module is not None}

    def concerns(found: Finding) -> bool:
        return found.source in sources or is_within(found.source, agent.directory)

    return replace(
        checked,
        findings=tuple(filter(concerns, checked.findings)),
        notes=tuple(filter(concerns, checked.notes)),
    )


def _name(faults: Iterable[Fault], locations: Locations) -> Iterator[Finding]:
    """Name those that have no name by the kind of the file in which they are."""
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
    if name.endswith(".toml") and name != PROFILE:
        return "module"
    return "profile"
