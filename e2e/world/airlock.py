"""Airlock on the host: its files, its agents, and the daemon as a process of an account."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .account import BOX_USER, Account
from .command import Completed, run
from .daemon import Daemon
from .installation import Installation
from .project import TOOLS
from .reach import command_line

ANY_REF = 'refs = ["refs/heads/**", "refs/tags/**"]\n'
"""A line of `[git]` in a profile, for what is about something else than refs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A registered agent: its name, its directory, and where its socket is on the host."""

    name: str
    directory: Path
    socket_directory: Path
    """To be mounted at /run/airlock: what is mounted so survives a restart of the daemon."""
    socket_file: Path
    """The socket's second name, to be mounted as a single file."""


class Airlock:
    """One installation below `folder`, which is made, for `account`.

    `executable` is airlock-daemon. The daemon runs from `start` to `stop` or `kill`.
    """

    def __init__(self, *, executable: Path, account: Account, folder: Path) -> None:
        self.account = account
        self._command = command_line(executable, account)
        self._files = Installation(folder)
        self._daemon: Daemon | None = None
        self.enable("git", "ssh")

    def enable(self, *commands: str, more: str = "") -> None:
        """Write a configuration whose ceiling is these commands; `more` is text of it besides."""
        if self.account.uid == 0 and "[sandbox]" not in more:
            more = f'{more}\n[sandbox]\nuser = "{BOX_USER}"\n'
        self._files.enable(commands, more=more)
        self.account.own(self._files.folder)

    def add_agent(
        self,
        name: str,
        *,
        profile: str,
        modules: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> Agent:
        """Register an agent with the text of its profile, and of modules of its own by command.

        Its directory is made at `directory`, else beside those of the other agents. A daemon that
        runs already learns of it when it is started again.
        """
        directory = self._files.add_agent(
            name, profile=profile, modules=modules, directory=directory
        )
        for path in (directory, self._files.folder):
            self.account.own(path)
        return Agent(
            name=name,
            directory=directory,
            socket_directory=self._files.socket(name).parent,
            socket_file=self._files.sockets / f"{name}.sock",
        )

    def start(self) -> None:
        """Start the daemon, which serves when this returns."""
        self._daemon = Daemon(
            self._files.argv(self._command),
            said=self._files.said,
            sockets=self._files.list_sockets,
            environment=self._environment(),
        )

    def stop(self) -> None:
        """Ask the daemon to end and wait until it has; nothing happens where none runs."""
        if self._daemon is not None:
            self._daemon.stop()

    def kill(self) -> None:
        """End the daemon so that it can do nothing about it."""
        if self._daemon is not None:
            self._daemon.kill()

    def check(self) -> Completed:
        """Run `airlock-daemon check` on these files, as the account."""
        argv = self._files.argv(self._command, "check")
        return run(argv, cwd="/", env=self._environment())

    def audit(self) -> list[dict[str, Any]]:
        """Return the records of the audit log, the oldest first."""
        return [json.loads(line) for line in self._files.log.read_text().splitlines()]

    def _environment(self) -> dict[str, str]:
        return self.account.environment(path=TOOLS)
