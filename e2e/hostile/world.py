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

HIDDEN = "/workspace/hidden"
"""What no box of the hostile agent shows."""

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
    as /workspace and another directory, `inner`, as /inner; `limits` are its entries of
    `[limits]`. `settings` follow the path of the log in config.toml. All of it is in boxes where
    they are `boxed`, which have nothing at HIDDEN.
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
        self.inner = folder / "above" / "inner"
        for made in (self.workspace, self.inner, self.temporary, self.home):
            made.mkdir(parents=True)
        self.home.chmod(0o700)
        self._box = "closed" if boxed else "none"
        if boxed:
            # No box is root's, and who it is gets to the workspace.
            folder.chmod(0o755)
            settings += _BOXES.format(user="nobody" if os.geteuid() == 0 else "")
        self.enable(_TOOLS, more=settings)
        lines = [f"{name} = {value}" for name, value in (limits or {}).items()]
        mapped = {"/workspace": self.workspace, "/inner": self.inner}
        mounts = ", ".join(f'"{target}" = {quote(path)}' for target, path in mapped.items())
        seen = f"[workspace]\nmounts = {{ {mounts} }}"
        if boxed:
            seen += f'\nhide = ["{HIDDEN}"]'
        self.add(HOSTILE, more="\n".join([seen, "[limits]", *lines]))
        self.add(HONEST)

    def add(self, name: str, *, commands: str = "", more: str = "") -> None:
        """Register an agent that may run `commands`, a TOML list's items, or write it anew."""
        modules = {tool: _MODULE.format(tool=tool, box=self._box) for tool in _TOOLS}
        self.add_agent(name, profile=f"commands = [{commands}]\n{more}\n", modules=modules)
