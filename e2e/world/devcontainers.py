"""The released command line of Development Containers."""

import base64
import hashlib
import json
import shutil
import tarfile
from pathlib import Path

from .command import run
from .need import need
from .wheels import CHECKOUT

_LOCK = CHECKOUT / "tasks" / "lock" / "devcontainers" / "package-lock.json"
_PACKAGE = "@devcontainers/cli"


def install_devcontainers(folder: Path) -> str:
    """Unpack it into a new folder; return the shell command that runs it by node.

    It keeps files in a directory named after the user, not the uid. That must not be in /tmp, where
    an earlier run's user may have left one.
    """
    lacking = next((each for each in ("npm", "node") if shutil.which(each) is None), None)
    need(None if lacking is None else f"there is no {lacking}")
    folder.mkdir()
    locked = json.loads(_LOCK.read_text())["packages"][f"node_modules/{_PACKAGE}"]
    name = f"{_PACKAGE}@{locked['version']}"
    packed = ("npm", "pack", "--silent", f"--pack-destination={folder}", name)
    archive = folder / run(packed, cwd=str(folder)).succeeded().stdout
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    assert f"sha512-{digest}" == locked["integrity"]
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    return f"TMPDIR=$HOME {shutil.which('node')} {folder}/package/devcontainer.js"
