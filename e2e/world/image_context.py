"""The folder that the delivered images are built from, made from the checkout."""

import os
import shutil
import sys
from pathlib import Path

from tasks.lock.declared import IMAGES
from tasks.lock.locked import read_locked

from .command import run

CHECKOUT = Path(__file__).parent.parent.parent

_PACKAGES = ("airlock-protocol", "airlock-modules", "airlock-daemon", "airlock-shim")
_TAGS = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")


def make_context(folder: Path, *, python: str) -> Path:
    """Make the context below `folder`, for images whose Python is of release `python`; return it.

    Programs are compiled where development compiles them too, so that mostly nothing is to do.
    """
    context = folder / "image-context"
    wheels = context / "wheels"
    wheels.mkdir(parents=True)
    locked = folder / "locked.txt"
    locked.write_text(read_locked(IMAGES))
    _download(wheels, locked, python=python)
    for package in _PACKAGES:
        command = (sys.executable, "-m", "hatchling", "build", "--target=wheel")
        made = folder / "wheels" / package
        source = CHECKOUT / "packages" / package
        run((*command, f"--directory={made}"), cwd=str(source)).succeeded()
        if package == "airlock-shim":
            for binary in source.glob("src/airlock_shim/_bin/airlock-shim-linux-*"):
                shutil.copyfile(binary, context / binary.name)
        else:
            (wheel,) = made.iterdir()
            shutil.copyfile(wheel, wheels / wheel.name)
    # Any time will do, as long as it stays the same: the engine then finds that nothing changed.
    for path in (*context.rglob("*"), context):
        os.utime(path, (0, 0))
    return context


def _download(folder: Path, locked: Path, *, python: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", f"--dest={folder}"]
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp"]
    command += [f"--platform={tag}_{os.uname().machine}" for tag in _TAGS]
    run((*command, f"--python-version={python}", f"--requirement={locked}")).succeeded()
