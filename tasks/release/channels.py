"""The channels of ``channels/`` that carry something built, complete as they are published."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from tasks.blocks import list_blocks
from tasks.places import ROOT

CHANNELS = ROOT / "channels"
SKILL = CHANNELS / "plugin" / "skills" / "airlock" / "SKILL.md"
"""The skill of Claude Code and Codex; ``python -m tasks.release.channels`` writes it."""
_SKILL = """\
---
name: airlock
description: 'Use when a message begins with "airlock: ", when git push or fetch, ssh, aws, \
terraform, gh, npm or an API is refused or has no credential, or before looking for a key, \
a token or a login in this container.'
---

# Working behind Airlock

"""


def write_channels(folder: Path, *, binaries: Iterable[Path]) -> list[Path]:
    """Write them into a new folder, and return their files.

    ``binaries`` are the shim's, one for each processor.
    """
    write_feature(folder / "devcontainer" / "airlock", binaries)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def write_feature(folder: Path, binaries: Iterable[Path]) -> None:
    """Write the feature of Development Containers, with the shim in it, into a new folder."""
    shutil.copytree(CHANNELS / "devcontainer" / "airlock", folder)
    for binary in binaries:
        shutil.copy(binary, folder)


def make_skill() -> str:
    """Return the skill for coding agents: the text of ``docs/for-agents.md``."""
    text = next(block.text for block in list_blocks("docs/for-agents.md"))
    return f"{_SKILL}{text}"


if __name__ == "__main__":
    SKILL.write_text(make_skill())
