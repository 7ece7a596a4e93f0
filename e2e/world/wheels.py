"""Wheels of the packages, built from the checkout, and of their dependencies."""

import base64
import csv
import hashlib
import io
import os
import re
import shutil
import sys
import zipfile
from pathlib import Path

from tasks.lock.declared import IMAGES
from tasks.lock.locked import read_locked

from .command import run

CHECKOUT = Path(__file__).parent.parent.parent
PACKAGES = ("airlock-protocol", "airlock-modules", "airlock-daemon", "airlock-shim")
"""The folders of the packages in the checkout."""

_TAGS = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")


def build_wheel(package: str, folder: Path, *, checkout: Path = CHECKOUT, target: str = "") -> Path:
    """Build the wheel of one of PACKAGES into an empty folder; return it.

    It is for this machine, unless `target` is another platform, or "any".
    Programs are compiled where development compiles them, so usually they are up to date.
    """
    command = (sys.executable, "-m", "hatchling", "build", "--target=wheel")
    variables = os.environ | {"AIRLOCK_TARGET": target}
    place = str(checkout / "packages" / package)
    run((*command, f"--directory={folder}"), cwd=place, env=variables).succeeded()
    (wheel,) = folder.iterdir()
    return wheel


def download_wheels(folder: Path, *, python: str, group: str = IMAGES) -> None:
    """Download the wheels of a locked group into a folder, for this machine and that Python."""
    locked = folder / "locked.txt"
    locked.write_text(read_locked(group))
    command = [sys.executable, "-m", "pip", "download", "--quiet", f"--dest={folder}"]
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp"]
    command += [f"--platform={tag}_{os.uname().machine}" for tag in _TAGS]
    run((*command, f"--python-version={python}", f"--requirement={locked}")).succeeded()
    locked.unlink()


def gather_wheels(folder: Path, *, python: str) -> Path:
    """Return a directory below `folder` with the wheels of PACKAGES and their dependencies.

    The first call fills it, for this machine and that Python.
    """
    wheels = folder / "all-wheels"
    if not wheels.exists():
        wheels.mkdir()
        download_wheels(wheels, python=python)
        for package in PACKAGES:
            wheel = build_wheel(package, folder / "own-wheels" / package)
            shutil.copyfile(wheel, wheels / wheel.name)
    return wheels


def rename_version(wheel: Path, folder: Path, version: str) -> Path:
    """Copy the wheel into a folder with another version; return it."""
    name, old, tags = wheel.name.split("-", 2)
    before, after = f"{name}-{old}.dist-info", f"{name}-{version}.dist-info"
    made = folder / f"{name}-{version}-{tags}"
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(made, "w") as target:
        for entry in source.infolist():
            path = entry.filename.replace(before, after)
            if path == f"{after}/RECORD":
                continue
            content = source.read(entry)
            if path in (f"{after}/METADATA", f"{name}/_version.py"):
                pattern = rb"^(Version: |__version__ = \")" + re.escape(old.encode())
                content = re.sub(pattern, rb"\g<1>" + version.encode(), content, flags=re.MULTILINE)
            entry.filename = path
            target.writestr(entry, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            rows.writerow((path, f"sha256={digest.decode()}", len(content)))
        rows.writerow((f"{after}/RECORD", "", ""))
        target.writestr(f"{after}/RECORD", record.getvalue())
    return made
