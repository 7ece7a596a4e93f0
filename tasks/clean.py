"""``./dev clean``: removes what the other commands created."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from tasks.errors import TaskError
from tasks.hatch import hold_lock
from tasks.places import HATCH, ROOT, list_members

_CACHES = (".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache", ".hypothesis")
_BUILT = ("dist", "build", ".zig-cache", "zig-out", "native/.zig-cache", "native/zig-out")
_FOLDERS = ("bench", "conformance", "demo", "e2e", "fuzz", "tasks")


def clean(arguments: Sequence[str]) -> int:
    """Remove ``.hatch/``, caches and build results, by name; print each removed folder."""
    if arguments:
        raise TaskError("clean takes no arguments")
    with hold_lock():
        for folder in _list_made():
            if folder.is_dir():
                shutil.rmtree(folder)
                print(f"removed {folder.relative_to(ROOT)}/")
    return 0


def _list_made() -> list[Path]:
    folders = [ROOT / name for name in _CACHES]
    for member in list_members():
        folders += [member / name for name in (*_CACHES, *_BUILT)]
        folders += [path for name in ("_native", "_bin") for path in member.glob(f"src/*/{name}")]
    for part in (*list_members(), *(ROOT / name for name in _FOLDERS)):
        folders += part.rglob("__pycache__")
    return [*folders, ROOT / "dist", HATCH]
