"""The daemon's dependencies as wheels, for every supported Python and processor."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from tasks.environment import Environment
from tasks.errors import TaskError
from tasks.lock.declared import IMAGES
from tasks.lock.locked import write_locked
from tasks.places import HATCH

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PROCESSORS = ("x86_64", "aarch64")

# The oldest C library of the supported Debian releases.
_TAGS = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")

_CACHE = HATCH / "cache" / "wheelhouse"


def fill_wheelhouse(folder: Path, *, environment: Environment) -> None:
    """Put the wheels that are locked for the images into ``folder``.

    They are downloaded once for each content of the lock, and checked against its hashes.
    Raises TaskError when that fails.
    """
    locked = write_locked(IMAGES)
    wanted = hashlib.sha256(repr((PYTHONS, PROCESSORS)).encode() + locked.read_bytes())
    kept = _CACHE / wanted.hexdigest()
    if not kept.is_dir():
        _CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as scratch:
            fresh = Path(scratch, "wheels")
            _download(fresh, locked, environment=environment)
            fresh.rename(kept)
    folder.mkdir(parents=True, exist_ok=True)
    for wheel in sorted(kept.iterdir()):
        shutil.copyfile(wheel, folder / wheel.name)


def _download(folder: Path, locked: Path, *, environment: Environment) -> None:
    command = [str(environment.python), "-m", "pip", "download", "--quiet", "--dest", str(folder)]
    # Nothing unlisted is downloaded, and an unknown hash is a failure.
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp"]
    command += [f"--requirement={locked}"]
    for python in PYTHONS:
        for processor in PROCESSORS:
            # pip has to be told every tag: it does not derive the older ones from a newer one.
            platforms = [f"--platform={tag}_{processor}" for tag in _TAGS]
            if environment.run([*command, f"--python-version={python}", *platforms]):
                raise TaskError(
                    f"downloading the dependencies for Python {python} on {processor} failed, see "
                    "above. Is the package index reachable? Where the index has lost a version "
                    "that is locked: ./dev lock --upgrade"
                )
