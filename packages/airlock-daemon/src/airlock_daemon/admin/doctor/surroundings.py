"""The input of the checks: the files, the running daemon, and the caller's shell."""

import os
from collections.abc import Iterator, Mapping

import msgspec

from airlock_daemon.setup.generation import Locations, Modules, Programs, Setup
from airlock_daemon.setup.status import DaemonStatus
from airlock_modules import Module


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """All input as plain values; a check looks up the rest itself.

    `setup` is None if the files have faults, `status` if no daemon serves this configuration.
    `environment` is the caller's. Files of the kernel and the system are read below `root`.
    """

    locations: Locations
    setup: Setup | None
    status: DaemonStatus | None
    environment: Mapping[str, str]
    root: str = "/"

    @property
    def daemon_environment(self) -> Mapping[str, str]:
        """The running daemon's variables, else those of a daemon that the caller would start."""
        return self.environment if self.status is None else self.status.environment

    @property
    def daemon_path(self) -> str:
        """The PATH on which the daemon finds tools."""
        if self.setup is None:
            return self.daemon_environment.get("PATH", os.defpath)
        configured = self.setup.config.path or self.daemon_environment.get("PATH")
        agents = self.setup.agents
        workspaces = [mount.source for each in agents for mount in each.mounts]
        return Programs.of(configured, workspaces=workspaces, warnings=[]).path

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
        """The content of the file `path` of the kernel or the system, None if missing."""
        try:
            with open(self.below(path), encoding="utf-8", errors="replace") as file:
                return file.read().strip()
        except OSError:
            return None

    def below(self, path: str) -> str:
        """The path below `root` of an absolute path."""
        return os.path.join(self.root, path.lstrip("/"))


class Problem(msgspec.Struct, frozen=True):
    """A check's finding: a place, what is wrong with it, and a remedy to copy."""

    source: str
    problem: str
    remedy: str
    is_note: bool = False


class Note(Problem, frozen=True):
    """A finding that may be intended, or needs no action."""

    is_note: bool = True
