"""The configuration of a daemon under attack, on disk: one agent attacks, another one works."""

import json
from collections.abc import Mapping
from pathlib import Path

HOSTILE, HONEST = "hostile", "honest"
"""The names of the two agents."""

_TOOLS = ("sh", "true", "cat", "head", "sleep")

_MODULE = """
[command]
bin = "{tool}"
[env]
forward = ["AIRLOCK_TEST_*"]
[deny]
args = []
"""


class World:
    """Directories below an empty `root`, which must be short: a socket's path has 107 bytes.

    Both agents may run the same few tools with any arguments. The agent `hostile` has `workspace`
    as /workspace, and `limits` are its entries of `[limits]`.
    """

    def __init__(self, root: Path, *, limits: Mapping[str, float] | None = None) -> None:
        self.root = root
        self.config = root / "config"
        self.sockets = root / "sockets"
        self.agents = root / "agents.toml"
        self.log = root / "airlock.log"
        self.workspace = root / "workspace"
        self.temporary = root / "tmp"
        self.home = root / "home"
        for folder in (self.config, self.workspace, self.temporary, self.home):
            folder.mkdir()
        self.home.chmod(0o700)
        (self.config / "config.toml").write_text(
            f"[commands]\nenable = {json.dumps(_TOOLS)}\n"
            f'[log]\npath = "{self.log}"\nmax_size_mb = 10000\n'
        )
        lines = [f"{name} = {value}" for name, value in (limits or {}).items()]
        mounts = f'[workspace]\nmounts = {{ "/workspace" = "{self.workspace}" }}\n'
        self._write_agent(HOSTILE, "\n".join([mounts, "[limits]", *lines]))
        self._write_agent(HONEST, "")
        self.agents.write_text(
            "".join(f'[{name}]\npath = "{root / name}"\n' for name in (HOSTILE, HONEST))
        )

    def socket(self, agent: str) -> str:
        """Return the path of an agent's socket."""
        return str(self.sockets / agent / "airlock.sock")

    def _write_agent(self, name: str, profile: str) -> None:
        commands = self.root / name / "commands"
        commands.mkdir(parents=True)
        (commands.parent / "airlock.toml").write_text(f"commands = []\n{profile}\n")
        for tool in _TOOLS:
            (commands / f"{tool}.toml").write_text(_MODULE.format(tool=tool))
