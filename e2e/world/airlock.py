"""Airlock on the host: its files, its agents, and the daemon as a process of an account."""

import json
import queue
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .account import Account
from .command import Completed, run
from .program import PATIENCE_S
from .project import TOOLS
from .reach import command_line


class NotStarted(AssertionError):
    """The daemon ended, or said nothing, instead of starting."""


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

    `executable` is airlock-daemon. The daemon runs from `start` to `stop` or `kill`, and finds
    `tools`, which lie in one directory, before those of the system.
    """

    def __init__(
        self, *, executable: Path, account: Account, folder: Path, tools: Sequence[Path] = ()
    ) -> None:
        self.account = account
        self.agents: dict[str, Agent] = {}
        self._command = command_line(executable, account, alongside=tools)
        self._path = ":".join([*sorted({str(tool.parent) for tool in tools}), TOOLS])
        self._folder = account.make_directory(folder)
        for name in ("config", "agents", "log"):
            account.make_directory(folder / name)
        self._sockets = account.make_directory(folder / "sockets", mode=0o700)
        self._register()
        self.enable("git", "ssh")
        self._process: subprocess.Popen[bytes] | None = None

    def enable(self, *commands: str) -> None:
        """Write a configuration whose ceiling is these commands."""
        text = (
            f"[commands]\nenable = {json.dumps(commands)}\n\n"
            f"[log]\npath = {json.dumps(str(self._log))}\n"
        )
        self.account.write(self._folder / "config" / "config.toml", text)

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
        account = self.account
        directory = account.make_directory(directory or self._folder / "agents" / name)
        account.write(directory / "airlock.toml", profile)
        commands = account.make_directory(directory / "commands")
        for command, text in (modules or {}).items():
            account.write(commands / f"{command}.toml", text)
        self.agents[name] = Agent(
            name=name,
            directory=directory,
            socket_directory=self._sockets / name,
            socket_file=self._sockets / f"{name}.sock",
        )
        self._register()
        return self.agents[name]

    def start(self) -> None:
        """Start the daemon; it listens when this returns. Raises NotStarted."""
        self._process = subprocess.Popen(
            self._argv("start"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            env=self.account.environment(path=self._path),
        )
        assert self._process.stderr is not None
        said: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_pass_on, args=(self._process.stderr, said), daemon=True).start()
        heard: list[str] = []
        # One line says what is enabled; after it comes a line with the socket of each agent.
        missing = {str(agent.socket_directory) for agent in self.agents.values()} | {"enabled"}
        while missing:
            try:
                line = said.get(timeout=PATIENCE_S)
            except queue.Empty:
                line = None
            if line is None:
                self.kill()
                raise NotStarted("the daemon did not start; it said:\n" + "".join(heard))
            heard.append(line)
            missing = {word for word in missing if word not in line}

    def stop(self) -> None:
        """Ask the daemon to end and wait until it has; nothing happens where none runs."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the daemon so that it can do nothing about it."""
        self._end(signal.SIGKILL)

    def check(self) -> Completed:
        """Run `airlock-daemon check` on these files, as the account."""
        return run(self._argv("check"), cwd="/", env=self.account.environment(path=self._path))

    def audit(self) -> list[dict[str, Any]]:
        """Return the records of the audit log, the oldest first."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    @property
    def _log(self) -> Path:
        return self._folder / "log" / "airlock.log"

    def _argv(self, command: str) -> list[str]:
        folder = self._folder
        return [
            *self._command,
            f"--config={folder / 'config'}",
            f"--sockets={self._sockets}",
            f"--agents={folder / 'agents.toml'}",
            command,
        ]

    def _register(self) -> None:
        tables = [
            f"[{agent.name}]\npath = {json.dumps(str(agent.directory))}\n"
            for agent in self.agents.values()
        ]
        self.account.write(self._folder / "agents.toml", "\n".join(tables))

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(timeout=PATIENCE_S)
        finally:
            process.kill()
            process.wait()


def _pass_on(stream: IO[bytes], lines: "queue.Queue[str | None]") -> None:
    """Put every line of `stream` into the queue as it comes, then None; the stream never fills."""
    with stream:
        for line in stream:
            lines.put(line.decode(errors="replace"))
    lines.put(None)
