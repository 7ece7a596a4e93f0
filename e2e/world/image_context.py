"""The build context of the delivered images, made from the checkout."""

import os
import shutil
from pathlib import Path

from .wheels import CHECKOUT, PACKAGES, build_wheel, download_wheels


def make_context(folder: Path, *, python: str) -> Path:
    """Make the context below `folder` for images with Python `python`, such as 3.13; return it."""
    context = folder / "image-context"
    wheels = context / "wheels"
    wheels.mkdir(parents=True)
    download_wheels(wheels, python=python)
    for package in PACKAGES:
        wheel = build_wheel(package, folder / "wheels" / package)
        if package == "airlock-shim":
            source = CHECKOUT / "packages" / package
            for binary in source.glob("src/airlock_shim/_bin/airlock-shim-linux-*"):
                shutil.copyfile(binary, context / binary.name)
        else:
            shutil.copyfile(wheel, wheels / wheel.name)
    # Any constant time: the engine then finds that nothing changed.
    for path in (*context.rglob("*"), context):
        os.utime(path, (0, 0))
    return context
