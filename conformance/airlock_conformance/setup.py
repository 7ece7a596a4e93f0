"""The configuration of a daemon under test, written to disk from a setup file.

A setup gives the texts of ``config.toml``, of the one agent's profile and of its modules, and the
scripts that stand for tools. In all of them ``@state@`` is a directory that the tools write to,
``@tools@`` where the scripts are, and in a module ``@tool@`` the script of the same name.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airlock_conformance.content import substitute

AGENT = "suite"

# No box runs as root, so that a daemon which does needs somebody else for them.
BOXES = '\n[sandbox]\nuser = "nobody"\n' if os.geteuid() == 0 else ""
"""What config.toml says of boxes, for built-in modules, which run their tools in some."""
NO_BOX = '\n[sandbox]\nbox = "none"\n'
"""The end of a module whose tool runs without a box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Where a setup was written to: what a daemon is started with, and the tools' state.

    `log` is the file for what the daemon itself writes to its stdout and stderr.
    """

    config: Path
    sockets: Path
    agents: Path
    state: Path
    log: Path

    @property
    def socket(self) -> Path:
        """The socket of the agent: in a directory of its own, or beside that, as a daemon likes."""
        own = self.sockets / AGENT / "airlock.sock"
        return own if own.exists() else self.sockets / f"{AGENT}.sock"


def install(setup: Mapping[str, Any], root: Path) -> Installation:
    """Write a setup below an empty directory and return where things are."""
    directories = {name: root / name for name in ("config", "sockets", "agent", "state", "tools")}
    for directory in directories.values():
        directory.mkdir(mode=0o700)
    (directories["agent"] / "commands").mkdir()
    agents = root / "agents.toml"
    agents.write_text(f'[{AGENT}]\npath = "{directories["agent"]}"\n')
    variables = {"state": str(directories["state"]), "tools": str(directories["tools"])}
    written = substitute(setup, variables)
    (directories["config"] / "config.toml").write_text(written["config"])
    (directories["agent"] / "airlock.toml").write_text(written["profile"])
    tools: Mapping[str, list[str]] = written.get("tools", {})
    for name, lines in tools.items():
        script = directories["tools"] / name
        script.write_text("\n".join(lines) + "\n")
        script.chmod(0o755)
    for name, text in _modules(written, tools).items():
        path = directories["tools"] / name
        module = substitute(text, {"tool": str(path)})
        (directories["agent"] / "commands" / f"{name}.toml").write_text(module)
    for name in written.get("fifos", ()):
        os.mkfifo(directories["state"] / name, 0o600)
    return Installation(
        config=directories["config"],
        sockets=directories["sockets"],
        agents=agents,
        state=directories["state"],
        log=root / "daemon.log",
    )


def _modules(setup: Mapping[str, Any], tools: Mapping[str, Any]) -> dict[str, str]:
    shared = dict.fromkeys(tools, setup["module"]) if "module" in setup else {}
    return {**shared, **setup.get("modules", {})}
