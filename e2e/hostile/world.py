"""The files of a daemon under attack: one agent attacks, another one works."""

import os
from collections.abc import Mapping
from pathlib import Path

from e2e.hostile.flood import HOG
from e2e.world.installation import Installation, quote

HOSTILE, HONEST = "hostile", "honest"
"""The names of the two agents."""

_TOOLS = ("sh", "true", "cat", "head", "sleep", HOG)

_MODULE = """
[command]
bin = "{tool}"
[env]
forward = ["AIRLOCK_TEST_*"]
[deny]
args = []
[sandbox]
box = "{box}"
"""

ENDLESS_LOG = "max_size_mb = 10000\n[limits]\nlog_bytes_s = 1000000000\n"
"""Settings by which every record is written, and stays in one file."""

_BOXES = """
box_memory_mb = 512
[sandbox]
user = "{user}"
"""


class World(Installation):
    """An installation, and directories beside its files.

    Both agents may run the same few tools with any arguments. The agent `hostile` has `workspace`
    as /workspace, and `limits` are its entries of `[limits]`. `settings` follow the path of the log
    in config.toml. All of it is in boxes where they are `boxed`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        limits: Mapping[str, float] | None = None,
        settings: str = ENDLESS_LOG,
        boxed: bool = False,
    ) -> None:
        super().__init__(folder)
        self.workspace = folder / "workspace"
        self.temporary = folder / "tmp"
        self.home = folder / "home"
        for made in (self.workspace, self.temporary, self.home):
            made.mkdir()
        self.home.chmod(0o700)
        self._box = "closed" if boxed else "none"
        if boxed:
            # No box is root's.
            settings += _BOXES.format(user="nobody" if os.geteuid() == 0 else "")
        self.enable(_TOOLS, more=settings)
        lines = [f"{name} = {value}" for name, value in (limits or {}).items()]
        mounts = f'[workspace]\nmounts = {{ "/workspace" = {quote(self.workspace)} }}\n'
        self.add(HOSTILE, more="\n".join([mounts, "[limits]", *lines]))
        self.add(HONEST)

    def add(self, name: str, *, commands: str = "", more: str = "") -> None:
        """Register an agent that may run `commands`, a TOML list's items, or write it anew."""
        modules = {tool: _MODULE.format(tool=tool, box=self._box) for tool in _TOOLS}
        self.add_agent(name, profile=f"commands = [{commands}]\n{more}\n", modules=modules)
