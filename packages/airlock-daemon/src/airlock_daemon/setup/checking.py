"""Everything that can be said of the files on disk, good and bad."""

import os
from collections.abc import Iterable, Iterator

import msgspec

from airlock_daemon.errors import SetupError
from airlock_daemon.setup.agents import PROFILE
from airlock_daemon.setup.finding import Finding, named
from airlock_daemon.setup.findings import find_builtin_faults
from airlock_daemon.setup.holdings import find_holdings
from airlock_daemon.setup.homes import find_homes
from airlock_daemon.setup.load import load_setup
from airlock_daemon.setup.overrides import find_losses
from airlock_daemon.setup.paths import Locations
from airlock_daemon.setup.remotes import find_git_on_host, find_unpinned, find_unseen_rules
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
    "box": "whether the boxes of modules can be had, which have the home, and which credentials",
    "ownership": "who else could write these files, the sockets directory and the log",
    "sockets": "the sockets directory: the daemon's user can make sockets there",
    "remotes": "where git-remote and ssh may go, who is unpinned, and whose git runs on this host",
    "override": "what overrides of built-in modules give up",
    "built-in": "the built-in modules",
}
"""What is looked at: the name that all carry that is found there, and what it is."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Faults, which `start` refuses; findings, of which it warns; notes, which may be meant.

    `agents` are the names of those that would be served, none where there are faults in the files.
    `unserved` are those that only faults of their workspaces keep from that; `can_serve` says that
    there are no other faults.
    """

    faults: tuple[Finding, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    agents: tuple[str, ...] = ()
    unserved: tuple[str, ...] = ()
    can_serve: bool = False

    def describe(self) -> Iterator[str]:
        """Return a line for each, which begins with what it is and its name."""
        for kind in ("faults", "findings", "notes"):
            for each in getattr(self, kind):
                yield f"{kind[:-1]}: {each.name}: {each}"


def check_files(locations: Locations) -> Checked:
    """Read everything, the built-in modules included, and look at the sockets directory."""
    faults = (
        *named("built-in", find_builtin_faults()),
        *named("sockets", find_unusable(locations.sockets_dir)),
    )
    try:
        setup = load_setup(locations)
    except SetupError as error:
        return Checked(faults=(*faults, *_name(error.faults, locations)))
    unserved = (fault for each in setup.unserved.values() for fault in each.faults)
    agents = [generation.agent for generation in setup.generations.values()]
    own = [agent.modules.own for agent in agents]
    return Checked(
        faults=(*faults, *named("workspace", unserved)),
        findings=tuple(_name(setup.warnings, locations)),
        notes=(
            *named("override", find_losses([setup.shared, *own], setup.config.ceiling)),
            *find_homes(agents, setup.config.ceiling),
            *find_holdings(agents, setup.config.ceiling),
            *find_unpinned(agents, setup.config.ceiling),
            *find_git_on_host(agents, setup.config.ceiling),
            *find_unseen_rules(agents, setup.config.ceiling),
        ),
        agents=tuple(setup.generations),
        unserved=tuple(setup.unserved),
        can_serve=not faults,
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
