"""The channels of ``channels/`` that carry something built, complete as they are published."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from tasks.places import ROOT

CHANNELS = ROOT / "channels"


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
