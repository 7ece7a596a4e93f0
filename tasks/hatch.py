"""Hatch, installed into the checkout and kept from writing anywhere else."""

import fcntl
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.errors import TaskError
from tasks.places import HATCH, ROOT

REQUIREMENT = "hatch>=1.16,<2"
"""1.16 is the first release with workspaces."""

_TOOL = HATCH / "tool"
_CONFIG = HATCH / "config.toml"


@contextmanager
def hold_lock() -> Iterator[None]:
    """Let one ``./dev`` at a time change ``.hatch/``; a second one waits."""
    HATCH.mkdir(exist_ok=True)
    with (HATCH / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_variables() -> dict[str, str]:
    """Return our environment, with the caches and data of Hatch and its tools in ``.hatch/``."""
    variables = dict(os.environ)
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "HATCH_ENV", "HATCH_ENV_ACTIVE"):
        variables.pop(name, None)
    return variables | {
        "HATCH_CONFIG": str(_CONFIG),
        "HATCH_DATA_DIR": str(HATCH / "data"),
        "HATCH_CACHE_DIR": str(HATCH / "cache" / "hatch"),
        # The interpreter that ./dev chose, not another one that Hatch finds or downloads.
        "HATCH_PYTHON": sys.executable,
        "PIP_CACHE_DIR": str(HATCH / "cache" / "pip"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "VIRTUALENV_OVERRIDE_APP_DATA": str(HATCH / "cache" / "virtualenv"),
        "ZIG_GLOBAL_CACHE_DIR": str(HATCH / "cache" / "zig"),
    }


def run_hatch(*arguments: str) -> None:
    """Run Hatch in the checkout, installing it first where it is missing.

    Call it with the lock held. Raises TaskError when it, or its installation, fails.
    """
    _install()
    _CONFIG.touch()  # Hatch wants the file that HATCH_CONFIG names to exist.
    _check([str(_TOOL / "bin" / "hatch"), *arguments])


def _install() -> None:
    # A virtual environment holds absolute paths: one that was moved or copied with its
    # checkout, or whose Python has gone, is made anew. The stamp is written last.
    stamp = _TOOL / "stamp"
    wanted = f"{ROOT}\n{sys.version}\n{REQUIREMENT}\n"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print("dev: installing Hatch into .hatch/ (once a checkout)", file=sys.stderr, flush=True)
    venv.create(_TOOL, clear=True, with_pip=True)
    _check([str(_TOOL / "bin" / "python"), "-m", "pip", "install", "--quiet", REQUIREMENT])
    stamp.write_text(wanted)


def _check(command: list[str]) -> None:
    if subprocess.run(command, cwd=ROOT, env=build_variables(), check=False).returncode:
        words = " ".join(command).replace(f"{ROOT}/", "")
        raise TaskError(
            f"{words} failed, see above. Is the package index reachable? "
            "pip's own settings (PIP_INDEX_URL, PIP_CERT, pip.conf) count. Then try again."
        )
