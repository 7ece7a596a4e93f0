"""How each tool is granted, and what the direct run must have so that it runs as its module says.

The built-in modules are taken as they are. Everything else gets a module that refuses nothing.
"""

import json
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from e2e.faithful.runner.ways import BUILT_IN

_GRANTED = """\
[command]
bin = "{name}"

[deny]
args = []

[exec]
workspace = "required"

[sandbox]
box = "{box}"
"""

# What the daemon says to ssh itself, as far as a direct run would show that it does not.
_SSH_WORDS = ("-oBatchMode=yes", "-oStrictHostKeyChecking=yes", "-oEscapeChar=none")

PROFILE_SET = {"CHECKPOINT_DISABLE": "1"}
"""What the profile sets for every tool: Terraform asks nobody on the net for newer versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One tool's module: its `text` where it is an override, and what it does to a run.

    `unboxed` is that text where the tool is to be in no box.
    """

    text: str | None = None
    unboxed: str | None = None
    set: Mapping[str, str]
    prepend: tuple[str, ...] = ()

    def environment(self, client: Mapping[str, str]) -> dict[str, str]:
        """Return the environment in which the direct run is what the daemon would run."""
        return {**client, **PROFILE_SET, **self.set}


def make_grants(tools: Iterable[str], *, daemon: Path, ssh_configuration: Path) -> dict[str, Grant]:
    """Return the grant of each tool; `daemon` is asked for the built-in modules.

    ssh finds its files by the password database, not by HOME, so it is told to read
    `ssh_configuration` instead: by the built-in module with that one option put in front.
    """
    grants = {}
    for name in sorted(tools):
        if name not in BUILT_IN:
            grants[name] = Grant(
                text=_GRANTED.format(name=name, box="closed"),
                unboxed=_GRANTED.format(name=name, box="none"),
                set={},
            )
            continue
        text = subprocess.run(
            [daemon, "show", name], capture_output=True, check=True, text=True
        ).stdout
        override = None
        if name == "ssh":
            option = json.dumps(f"-F{ssh_configuration}")
            override = text = f"{text}\n[args]\nprepend = [{option}]\n"
        module = tomllib.loads(text)
        arguments = module.get("args", {})
        if arguments.get("append"):
            raise ValueError(f"{name}: nothing here puts arguments behind those of an entry")
        grants[name] = Grant(
            text=override,
            set=module.get("env", {}).get("set", {}),
            prepend=(
                *arguments.get("prepend", ()),
                *(_SSH_WORDS if name == "ssh" else ()),
            ),
        )
    return grants
