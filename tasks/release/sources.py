"""The sources of a build, copied from the checkout."""

import os
import shutil
import subprocess
from pathlib import Path

from tasks.errors import TaskError
from tasks.places import ROOT


def read_epoch(root: Path = ROOT) -> int:
    """Return the time for everything built, in seconds since 1970.

    It is SOURCE_DATE_EPOCH if the environment has it, else the time of the last commit
    (https://reproducible-builds.org/specs/source-date-epoch/). Raises TaskError without either.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given:
        if given.isascii() and given.isdecimal():
            return int(given)
        raise TaskError(f"SOURCE_DATE_EPOCH is {given!r}; it must be a number of seconds")
    return int(_ask_git(root, "log", "-1", "--format=%ct").strip())


def copy_sources(destination: Path, root: Path = ROOT) -> None:
    """Copy ``packages/`` to ``destination``, without what was built or downloaded there.

    It copies tracked and untracked but not ignored files, committed or not, so a build never
    includes results of an earlier one. Links stay links. Files get git's modes, 0644 and 0755,
    whatever the checkout's umask was. Raises TaskError outside git.
    """
    names = _ask_git(
        root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "packages"
    )
    for name in filter(None, names.split("\0")):
        source, target = root / name, destination / name
        if not os.path.lexists(source):  # deleted, but the index still lists it
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target, follow_symlinks=False)
        if not source.is_symlink():
            target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)


def _ask_git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, check=True)
    except FileNotFoundError:
        raise TaskError("git is needed to build, and is not on PATH") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise TaskError(f"a build needs the checkout's git: git {words[0]} said: {said}") from None
    return os.fsdecode(done.stdout)
