"""A configuration on disk for tests, read by the real loader."""

import os
import shutil
from pathlib import Path

import elsewhere
from airlock_daemon.setup.generation import Setup
from airlock_daemon.setup.paths import Locations

CONFIG = '[commands]\nenable = ["sh", "git"]\n{boxes}[log]\npath = "{log}"\n'

ANY_REF = 'refs = ["refs/heads/**", "refs/tags/**"]\n'
"""A line of `[git]`, for tests that are not about refs."""

UNSAID = "[sandbox]\n"
"""At the end of a module's text: write no `[sandbox]`."""

BOX_USER = "nobody"
"""The user in the boxes of a root daemon; no box may run as root."""


class World:
    """Directories for the configuration, one agent `my`, and a separate workspace."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config"
        self.agent = root / "agents" / "my"
        self.workspace = root / "workspace"
        self.log = root / "state" / "airlock.log"
        for path in (self.config, self.agent / "commands", self.workspace, self.log.parent):
            path.mkdir(parents=True)
        self.agents_file = root / "agents.toml"
        self.agents_file.write_text(f'[my]\npath = "{self.agent}"\n')
        self.write_config()
        self.write_profile()
        self.write_module("sh", "/bin/sh")

    def write_config(self, more: str = "") -> None:
        """Write config.toml: sh and git enabled, the log inside this world, then `more`.

        Unless `more` configures boxes, those of a root daemon run as `BOX_USER`.
        """
        is_root = os.geteuid() == 0 and "[sandbox]" not in more
        boxes = f'[sandbox]\nuser = "{BOX_USER}"\n' if is_root else ""
        (self.config / "config.toml").write_text(CONFIG.format(log=self.log, boxes=boxes) + more)

    def write_profile(
        self, more: str = "[workspace]\nhost = true\n", *, commands: str = "[]"
    ) -> None:
        """Write the agent's airlock.toml: `commands`, all of them, then `more`."""
        if elsewhere.is_wanted():
            own = f'mounts = {{ "{self.workspace}" = "{self.workspace}" }}'
            more = more.replace("host = true", own)
        (self.agent / "airlock.toml").write_text(f"commands = {commands}\n{more}")

    def write_module(self, name: str, program: str, more: str = "[deny]\nargs = []\n") -> None:
        """Write an override for `name`, with box "none" unless `more` has a `[sandbox]`.

        With `UNSAID` at its end the file has no `[sandbox]`.
        """
        _write_module(self.agent / "commands" / f"{name}.toml", program, more)

    def write_shared_module(
        self, name: str, program: str, more: str = "[deny]\nargs = []\n"
    ) -> None:
        """Write a module for all agents."""
        _write_module(self.config / "modules" / f"{name}.toml", program, more)

    def write_hook(self, name: str, text: str, *, mode: int = 0o755) -> Path:
        """Write a hook of the agent atomically; a text without `#!` is an sh script."""
        path = self.agent / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        new = path.with_name("new")
        new.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
        new.chmod(mode)
        new.replace(path)
        return path

    def add_agent(self, name: str) -> Path:
        """Register another agent, a copy of `my`; return its directory.

        It is listed before `my`, whose socket is then created last, and is the one waited for.
        """
        directory = self.agent.with_name(name)
        shutil.copytree(self.agent, directory)
        before = self.agents_file.read_text()
        self.agents_file.write_text(f'[{name}]\npath = "{directory}"\n{before}')
        return directory

    @property
    def locations(self) -> Locations:
        """The paths of this world's files."""
        return Locations.find(config=str(self.config), agents=str(self.agents_file))

    @property
    def socket(self) -> str:
        """Path of the agent's socket."""
        return os.path.join(self.locations.sockets_dir, "my", "airlock.sock")

    def load(self) -> Setup:
        """Read everything with the daemon's own loader."""
        return Setup.load(self.locations)

    def load_again(self, before: Setup) -> Setup:
        """Read everything as a reload does, given the previous setup."""
        return Setup.load(self.locations, noted=before.noted)


def _write_module(path: Path, program: str, more: str) -> None:
    path.parent.mkdir(exist_ok=True)
    is_broker = os.path.basename(program) == "ssh"
    if "[sandbox]" not in more and not is_broker:
        more = f'{more}\n[sandbox]\nbox = "none"\n'
    more = more.removesuffix(UNSAID)
    path.write_text(f'[command]\nbin = "{program}"\n{more}')
