"""Downloading locked wheels, and checking their hashes before use."""

import hashlib
import shutil
import sys
from pathlib import Path

from tasks.hatch import install_tool, run_tool
from tasks.lock.declared import LOWEST
from tasks.lock.locked import list_locks, write_locked
from tasks.places import HATCH

_CACHE = HATCH / "cache" / "wheels"


def fetch_wheels(environment: str) -> Path:
    """Return a folder with exactly one wheel of everything an environment gets.

    The caller must hold the lock on ``.hatch/``. Wheels of an earlier lock are removed. Raises
    TaskError if a wheel is not available, or differs from the locked one.
    """
    folder = _CACHE / _digest(environment)
    current = {_CACHE / _digest(name) for name in (environment, "default", LOWEST)}
    for old in set(_CACHE.glob("*")) - current:
        shutil.rmtree(old)
    folder.mkdir(parents=True, exist_ok=True)
    locked = write_locked(environment)
    stamp = folder / f"{environment}.fetched"
    wanted = f"{sys.version}\n{locked.read_text()}"
    if not stamp.is_file() or stamp.read_text() != wanted:
        pip = (str(install_tool("hatch") / "bin" / "python"), "-m", "pip", "--quiet")
        hashed = ("--require-hashes", f"--requirement={locked}")
        run_tool([*pip, "download", "--only-binary=:all:", f"--dest={folder}", *hashed])
        stamp.write_text(wanted)
    return folder


def _digest(environment: str) -> str:
    content = b"".join(path.read_bytes() for path in list_locks(environment))
    return hashlib.sha256(content).hexdigest()
