"""Hatch and other tools, installed into the checkout and confined to it."""

import fcntl
import os
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import TaskError
from tasks.lock.declared import list_declared
from tasks.lock.locked import read_locked, write_locked
from tasks.places import HATCH, ROOT

_CONFIG = HATCH / "config.toml"
_NOT_OURS = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONDONTWRITEBYTECODE",
    "VIRTUAL_ENV",
    "HATCH_ENV",
    "HATCH_ENV_ACTIVE",
)


@contextmanager
def hold_lock() -> Iterator[None]:
    """Lock ``.hatch/``, so that one ``./dev`` at a time changes it; a second one waits."""
    HATCH.mkdir(exist_ok=True)
    with (HATCH / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_variables() -> dict[str, str]:
    """Return our environment, with the caches and data of Hatch and its tools in ``.hatch/``.

    Python may write bytecode even if the user disabled it: otherwise a daemon takes twice the time
    to start, and tests start thousands.
    """
    variables = dict(os.environ)
    for name in _NOT_OURS:
        variables.pop(name, None)
    return variables | {
        "HATCH_CONFIG": str(_CONFIG),
        "HATCH_DATA_DIR": str(HATCH / "data"),
        "HATCH_CACHE_DIR": str(HATCH / "cache" / "hatch"),
        # The interpreter chosen by ./dev, not one that Hatch finds or downloads.
        "HATCH_PYTHON": sys.executable,
        "PIP_CACHE_DIR": str(HATCH / "cache" / "pip"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "VIRTUALENV_OVERRIDE_APP_DATA": str(HATCH / "cache" / "virtualenv"),
        "ZIG_GLOBAL_CACHE_DIR": str(HATCH / "cache" / "zig"),
    }


def run_hatch(*arguments: str, extra: Mapping[str, str]) -> None:
    """Run Hatch in the checkout, with ``extra`` environment variables.

    Installs it first if it is missing. The caller must hold the lock on ``.hatch/``. Raises
    TaskError if it, or its installation, fails.
    """
    hatch = install_tool("hatch") / "bin" / "hatch"
    _CONFIG.touch()  # Hatch requires the file named by HATCH_CONFIG to exist.
    run_tool([hatch, *arguments], extra)


def install_tool(group: str, *, as_locked: bool = True) -> Path:
    """Return a virtual environment with a dependency group of the workspace and nothing else.

    Creates it if it is missing; unless ``as_locked``, with the newest versions that the group
    allows. The caller must hold the lock on ``.hatch/``. Raises TaskError if that fails.
    """
    folder = HATCH / "tools" / group
    declared = list_declared(group)
    locked = ("--require-hashes", f"--requirement={write_locked(group)}") if as_locked else ()
    # A virtual environment contains absolute paths: one that was moved or copied with its
    # checkout, or whose Python has gone, is recreated. The stamp is written last.
    stamp = folder / "stamp"
    wanted = "\n".join([str(ROOT), sys.version, read_locked(group) if as_locked else ""])
    if as_locked and stamp.is_file() and stamp.read_text() == wanted:
        return folder
    print(f"dev: installing {' '.join(declared)} into .hatch/", file=sys.stderr, flush=True)
    venv.create(folder, clear=True, with_pip=True)
    run_tool([folder / "bin" / "python", "-m", "pip", "install", "--quiet", *(locked or declared)])
    stamp.write_text(wanted)
    return folder


def run_tool(command: Sequence[str | Path], extra: Mapping[str, str] | None = None) -> None:
    """Run a command of a tool that uses the package index; raises TaskError if it fails."""
    variables = build_variables() | dict(extra or {})
    if subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode:
        words = " ".join(map(str, command)).replace(f"{ROOT}/", "")
        raise TaskError(
            f"{words} failed, see above. Is the package index reachable? "
            "pip's own settings (PIP_INDEX_URL, PIP_CERT, pip.conf) count, and uv's for "
            "./dev lock. Then try again; where the index has lost a version that is locked: "
            "./dev lock --upgrade"
        )
