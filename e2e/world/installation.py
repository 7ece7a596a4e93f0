"""Airlock's files on disk: a person's configuration, and a daemon's sockets and log."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


class Installation:
    """The files of one daemon below `folder`, whose path must be short enough for sockets.

    `config`, `sockets` and `registration` are the daemon's options, `log` is its audit log, `said`
    the file for its output. Creates all of them; they must not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config"
        self.sockets = folder / "sockets"
        self.registration = folder / "agents.toml"
        self.log = folder / "log" / "airlock.log"
        self.said = folder / "said"
        self._agents: dict[str, Path] = {}
        for made in (self.config, self.sockets, self.log.parent):
            made.mkdir(parents=True)
        self.sockets.chmod(0o700)
        self._register()

    def enable(self, commands: Iterable[str], *, more: str = "") -> None:
        """Write a configuration with the ceiling `commands`; `more` follows the log's path."""
        (self.config / "config.toml").write_text(
            f"[commands]\nenable = {json.dumps([*commands])}\n\n"
            f"[log]\npath = {quote(self.log)}\n{more}"
        )

    def add_agent(
        self,
        name: str,
        *,
        profile: str,
        modules: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> Path:
        """Register an agent, or rewrite it, and return its directory.

        `profile` is the text of its profile, `modules` those of its own modules by command. A
        running daemon must reload or restart to see it.
        """
        directory = directory or self.folder / "agents" / name
        (directory / "commands").mkdir(parents=True, exist_ok=True)
        (directory / "airlock.toml").write_text(profile)
        for command, text in (modules or {}).items():
            (directory / "commands" / f"{command}.toml").write_text(text)
        self._agents[name] = directory
        self._register()
        return directory

    def remove_agent(self, name: str) -> None:
        """Remove an agent from the registration, but keep its directory."""
        del self._agents[name]
        self._register()

    def socket(self, agent: str) -> Path:
        """Return the path of an agent's socket; earlier daemons put it next to its directory."""
        own, beside = self.sockets / agent / "airlock.sock", self.sockets / f"{agent}.sock"
        return beside if beside.exists() and not own.exists() else own

    def list_sockets(self) -> list[Path]:
        """Return the paths of the sockets of all agents."""
        return [self.socket(agent) for agent in self._agents]

    def argv(self, daemon: Sequence[str | Path], command: str = "start") -> list[str]:
        """Return the argv that runs a command of `daemon` on these files."""
        options = ["--config", self.config, "--sockets", self.sockets]
        options += ["--agents", self.registration]
        return [str(word) for word in (*daemon, *options, command)]

    def _register(self) -> None:
        tables = (f"[{name}]\npath = {quote(path)}\n" for name, path in self._agents.items())
        self.registration.write_text("\n".join(tables))


def quote(text: str | Path) -> str:
    """Return `text` as a string of TOML."""
    # A JSON string of plain text is a TOML basic string.
    return json.dumps(str(text), ensure_ascii=False)
