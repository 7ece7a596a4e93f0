"""Airlock on the host: its files, its agents, and a daemon process run by an account."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import engine
from .account import BOX_USER, Account
from .command import Completed, run
from .daemon import Daemon
from .installation import Installation
from .project import TOOLS
from .questions import Questions
from .reach import command_line, command_line_beside
from .running import Running

ANY_REF = 'refs = ["refs/heads/**", "refs/tags/**"]\n'
"""A line of `[git]` in a profile, for tests that are not about refs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A registered agent: its name, its directory, and its socket on the host."""

    name: str
    directory: Path
    socket_directory: Path
    """To be mounted at /run/airlock; such a mount survives a restart of the daemon."""
    socket_file: Path
    """The socket's second name, to be mounted as a single file."""


class Airlock:
    """One installation for `account`, in the new directory `folder`.

    `executable` is airlock-daemon. The daemon runs from `start` to `stop` or `kill`.
    """

    def __init__(self, *, executable: Path, account: Account, folder: Path) -> None:
        self.account = account
        self._executable = executable
        self._command = command_line(executable, account)
        self._files = Installation(folder)
        self._daemon: Daemon | None = None
        self.enable("git", "ssh")

    def enable(self, *commands: str, more: str = "") -> None:
        """Write a configuration with these commands as ceiling, and `more` as further text."""
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
        """Register an agent with the text of its profile, and of its own modules by command.

        Its directory is created at `directory`, by default next to those of other agents. A running
        daemon must be restarted to see it.
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
        """Start the daemon, and wait until it serves."""
        self._daemon = Daemon(
            self._files.argv(self._command),
            said=self._files.said,
            sockets=self._files.list_sockets,
            environment=self._environment(),
        )

    def stop(self) -> None:
        """Stop the daemon if it runs, and wait for its end."""
        if self._daemon is not None:
            self._daemon.stop()

    def end(self) -> None:
        """Stop the daemon, and remove what its agents have made at the engine."""
        self.stop()
        engine.remove_made(self._files.config / "state")

    def kill(self) -> None:
        """Kill the daemon by SIGKILL."""
        if self._daemon is not None:
            self._daemon.kill()

    def check(self) -> Completed:
        """Run `airlock-daemon check` on these files, as the account."""
        return self.run("check")

    def run(self, command: str, *words: str) -> Completed:
        """Run a command of `airlock-daemon` on these files, as the account.

        If the daemon runs, the command sees the same files as the daemon.
        """
        return run(self._list_words(command, *words), cwd="/", env=self._environment())

    def begin(self, command: str, *words: str) -> Running:
        """As `run`, but read its output while it runs."""
        variables = (f"{name}={value}" for name, value in self._environment().items())
        return Running(["env", "-i", *variables, *self._list_words(command, *words)])

    def _list_words(self, command: str, *words: str) -> list[str]:
        program = self._command
        if self._daemon is not None and self._daemon.is_running():
            program = command_line_beside(self._daemon.pid, self._executable, self.account)
        return [*self._files.argv(program, command), *words]

    @property
    def questions(self) -> Questions:
        """The questions of the daemon, and the answers of the account."""
        return Questions(self.run)

    def audit(self) -> list[dict[str, Any]]:
        """Return the records of the audit log, oldest first."""
        return [json.loads(line) for line in self._files.log.read_text().splitlines()]

    def _environment(self) -> dict[str, str]:
        return self.account.environment(path=TOOLS)
