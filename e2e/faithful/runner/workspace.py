"""The workspace of an entry: made for each run anew, and looked at afterwards."""

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from e2e.faithful.runner.content import whole
from e2e.faithful.runner.entry import Entry

Maker = Callable[[Path], None]
"""Fills an empty directory."""

_OF_ITS_TIME = ("/.git/index", ".tfstate", ".tfstate.backup", "/.git/FETCH_HEAD")
"""Files with times, inodes or random names inside: only that they are there is compared."""


def lay_out(entry: Entry, folder: Path, makers: Mapping[str, Maker]) -> None:
    """Make `folder` what `entry` starts from, whatever was there before."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    if entry.workspace:
        makers[entry.workspace](folder)
    for name, content in entry.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(whole(content))


def survey(folder: Path) -> dict[str, str]:
    """Describe each path below `folder`: kind, permissions, and what it holds."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            found[os.path.relpath(path, folder)] = _describe(path)
    return found


def _describe(path: str) -> str:
    status = os.lstat(path)
    mode = oct(stat.S_IMODE(status.st_mode))
    if stat.S_ISLNK(status.st_mode):
        return f"a link to {os.readlink(path)}"
    if stat.S_ISDIR(status.st_mode):
        return f"a directory, {mode}"
    if not stat.S_ISREG(status.st_mode):
        return f"a special file, {mode}"
    if path.endswith(_OF_ITS_TIME):
        return f"a file, {mode}"
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"a file, {mode}, {status.st_size} bytes, {digest[:16]}"
