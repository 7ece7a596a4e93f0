"""Symbolic links by which tools' names run the shim."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from airlock_shim.binaries import binary_path
from airlock_shim.errors import LinkError

_ANOTHER = "choose a directory in which this user can make links"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def install(directory: str | os.PathLike[str], names: Iterable[str]) -> tuple[Path, ...]:
    """Make `directory`/NAME a symbolic link to this machine's shim for each of `names`.

    Creates a missing directory. An existing link to the shim is kept; any other existing file is
    kept too, and is a problem. Returns the links in the order of `names`. Raises `LinkError` with
    all problems, and `BinaryError` if there is no shim for this machine.
    """
    target = binary_path().resolve()
    wanted = tuple(names)
    problems = [_refuse_name(name) for name in wanted if not _is_installable(name)]
    if problems:
        raise LinkError(tuple(problems))
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        obstacle = f"cannot make the directory {folder}: {error.strerror}; {_ANOTHER}"
        raise LinkError((obstacle,)) from error
    links = tuple(folder / name for name in wanted)
    problems = [problem for link in links if (problem := _make_link(link, target)) is not None]
    if problems:
        raise LinkError(tuple(problems))
    return links


def _is_installable(name: str) -> bool:
    # By a name that begins with its own the shim acts as itself, not as a tool.
    return _NAME.fullmatch(name) is not None and not name.startswith("airlock-shim")


def _refuse_name(name: str) -> str:
    return (
        f"no command can be called {name!r}; a name has letters, digits, . _ and -, "
        "begins with one of the first two, and is not the shim's own"
    )


def _make_link(link: Path, target: Path) -> str | None:
    try:
        link.symlink_to(target)
    except FileExistsError:
        if link.resolve() == target:
            return None
        return f"{link} is there already and is no link to this shim; remove it first"
    except OSError as error:
        return f"cannot make {link}: {error.strerror}; {_ANOTHER}"
    return None
