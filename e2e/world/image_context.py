"""The build context of the delivered images, made from the checkout."""

import os
import shutil
from pathlib import Path

from .wheels import CHECKOUT, gather_wheels


def make_context(folder: Path, *, python: str) -> Path:
    """Make the context below `folder` for images with Python `python`, such as 3.13; return it."""
    context = folder / "image-context"
    wheels = gather_wheels(folder, python=python)
    shutil.copytree(wheels, context / "wheels", ignore=shutil.ignore_patterns("airlock_shim-*"))
    binaries = CHECKOUT / "packages/airlock-shim/src/airlock_shim/_bin"
    for binary in binaries.glob("airlock-shim-linux-*"):
        shutil.copyfile(binary, context / binary.name)
    # Any constant time: the engine then finds that nothing changed.
    for path in (*context.rglob("*"), context):
        os.utime(path, (0, 0))
    return context
