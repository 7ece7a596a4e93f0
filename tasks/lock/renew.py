"""``./dev lock``: updates the lock to the declared requirements, and finds mismatches."""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.hatch import hold_lock, install_tool, run_tool
from tasks.lock.declared import (
    IMAGES,
    list_declared,
    list_everything,
    list_run_time,
    read_oldest_python,
)
from tasks.lock.locked import DEVELOPMENT_LOCK, IMAGES_LOCK, LOWEST_LOCK
from tasks.places import ROOT

_HEAD = """\
# Exact versions with the hashes of their files. `./dev lock` made this from what is declared in
# pyproject.toml files, and `./dev lint` holds these lines, which say what that was, against them:
#
"""
_DECLARED = "# declared: "


def run_lock(arguments: Sequence[str]) -> int:
    """Renew the lock files and return the exit status; needs the package index.

    Versions that still satisfy the requirements are kept, unless ``--upgrade`` is given.
    """
    parser = argparse.ArgumentParser(
        prog="./dev lock", description="Make the lock in tasks/lock/ fit what is declared."
    )
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    upgrade = parser.parse_args(arguments).upgrade
    with hold_lock():
        uv = install_tool("lock", as_locked=not upgrade) / "bin" / "uv"
        for path, declared in _list_inputs().items():
            _renew(path, declared, uv=uv, upgrade=upgrade)
            print(f"wrote {path.relative_to(ROOT)}")
    return 0


def find_misfits() -> Iterator[str]:
    """Yield a line for each lock file made from other requirements than those declared now."""
    for path, declared in _list_inputs().items():
        lines = path.read_text().splitlines() if path.exists() else []
        found = {line.removeprefix(_DECLARED) for line in lines if line.startswith(_DECLARED)}
        changed = sorted(found.symmetric_difference(declared))
        if changed:
            yield f"{path.relative_to(ROOT)} does not fit {', '.join(changed)}: run `./dev lock`"


def _list_inputs() -> dict[Path, tuple[str, ...]]:
    return {
        DEVELOPMENT_LOCK: list_everything(),
        LOWEST_LOCK: list_run_time(),
        IMAGES_LOCK: list_declared(IMAGES),
    }


def _renew(path: Path, declared: Sequence[str], *, uv: Path, upgrade: bool) -> None:
    command = [str(uv), "pip", "compile", "--quiet", "--no-header", "--generate-hashes"]
    command += ["--universal", f"--python-version={read_oldest_python()}"]
    command += ["--resolution=lowest-direct"] if path == LOWEST_LOCK else []
    command += [f"--constraint={DEVELOPMENT_LOCK}"] if path == IMAGES_LOCK else []
    with tempfile.TemporaryDirectory() as folder:
        wanted, locked = Path(folder, "declared"), Path(folder, "locked")
        wanted.write_text("\n".join(declared))
        if path.exists() and not upgrade:  # uv keeps the versions in an existing file
            locked.write_text(path.read_text())
        run_tool([*command, f"--output-file={locked}", str(wanted)])
        text = locked.read_text().replace(f"-r {wanted}", "-r declared")
    head = "".join(f"{_DECLARED}{word}\n" for word in declared)
    path.write_text(f"{_HEAD}{head}\n{text}")
