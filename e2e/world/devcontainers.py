"""The released command line of Development Containers."""

import base64
import hashlib
import shutil
import tarfile
from pathlib import Path

from .command import run
from .need import need

_PACKAGE = "@devcontainers/cli@0.89.0"
_INTEGRITY = (
    "LzaoOGKQ/Zql6PsiZ4hVIYVZagzWkD65aG/1ou5/Kly5Y1PtjLg1yn7qu+LZCzVoAl6DZZ/pbz8qOO4RLNlqMg=="
)


def install_devcontainers(folder: Path) -> str:
    """Unpack it into a new folder; return the shell command that runs it by node.

    It keeps files in a directory named after the user, not the uid. That must not be in /tmp, where
    an earlier run's user may have left one.
    """
    lacking = next((each for each in ("npm", "node") if shutil.which(each) is None), None)
    need(None if lacking is None else f"there is no {lacking}")
    folder.mkdir()
    packed = ("npm", "pack", "--silent", f"--pack-destination={folder}", _PACKAGE)
    archive = folder / run(packed, cwd=str(folder)).succeeded().stdout
    assert base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() == _INTEGRITY
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    return f"TMPDIR=$HOME {shutil.which('node')} {folder}/package/devcontainer.js"
