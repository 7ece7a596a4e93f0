"""Wheels of what is locked, downloaded and held against their hashes before anything uses them."""

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
    """Return a folder that has a wheel of everything an environment gets, and of no second version.

    Call it with the lock on ``.hatch/`` held. What a lock file led to before it changed is removed.
    Raises TaskError where a wheel cannot be had, or is not the one that was locked.
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
