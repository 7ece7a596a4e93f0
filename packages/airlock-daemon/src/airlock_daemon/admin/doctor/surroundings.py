"""The input of the checks: the files, the running daemon, and the caller's shell."""

import os
from collections.abc import Iterator, Mapping

import msgspec

from airlock_daemon.setup.generation import Setup
from airlock_daemon.setup.modules import Modules
from airlock_daemon.setup.paths import Locations
from airlock_daemon.setup.programs import search_path
from airlock_daemon.setup.status import DaemonStatus
from airlock_daemon.setup.workspaces import list_mounts
from airlock_modules import Module


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """All of it as plain values; nothing is looked at before a check asks for it.

    `setup` is None where the files have faults, `status` where no daemon serves this configuration.
    `environment` is that of the caller. What the kernel and the system say is read below `root`.
    """

    locations: Locations
    setup: Setup | None
    status: DaemonStatus | None
    environment: Mapping[str, str]
    root: str = "/"

    @property
    def daemon_environment(self) -> Mapping[str, str]:
        """The variables of the running daemon, else those that one started here would have."""
        return self.environment if self.status is None else self.status.environment

    @property
    def daemon_path(self) -> str:
        """The PATH on which the daemon finds tools."""
        if self.setup is None:
            return self.daemon_environment.get("PATH", os.defpath)
        configured = self.setup.config.path or self.daemon_environment.get("PATH")
        agents = self.setup.agents
        workspaces = [mount.source for each in agents for mount in list_mounts(each)]
        return search_path(configured, workspaces=workspaces, warnings=[])

    def list_modules(self) -> Iterator[Module]:
        """The modules of all enabled commands that an agent would have."""
        if self.setup is not None:
            generations = self.setup.generations.values()
            sets = [each.agent.modules for each in generations] or [
                Modules(shared=self.setup.shared)
            ]
            for name in self.setup.config.enable:
                found = filter(None, (each.find(name) for each in sets))
                yield from {each.source: each for each in found if each.has_command}.values()

    def read(self, path: str) -> str | None:
        """What the file `path` of the kernel's or the system's says, None where there is none."""
        try:
            with open(self.below(path), encoding="utf-8", errors="replace") as file:
                return file.read().strip()
        except OSError:
            return None

    def below(self, path: str) -> str:
        """Where an absolute path of the system is looked for."""
        return os.path.join(self.root, path.lstrip("/"))


class Problem(msgspec.Struct, frozen=True):
    """What a check found: a place, what is wrong with it, and a remedy to copy."""

    source: str
    problem: str
    remedy: str
    is_note: bool = False


class Note(Problem, frozen=True):
    """One that may be meant, or that needs nothing."""

    is_note: bool = True
