"""Paths as text: absolute, normal ones, and where they lie."""

import os
from collections.abc import Iterator


def absolute(path: str, *, base: str | None = None) -> str:
    """Expand `~` and make `path` absolute, from `base` or the working directory; keeps symlinks."""
    expanded = os.path.expanduser(path)
    normal = os.path.normpath(os.path.join(base or os.getcwd(), expanded))
    # normpath keeps two leading slashes, which Linux and macOS take for one.
    return normal[1:] if normal.startswith("//") else normal


def expand_home(path: str, home: str) -> str:
    """`path` with a leading `~/` replaced by `home`."""
    return os.path.join(home, path[2:]) if path.startswith("~/") else path


def is_within(path: str, directory: str) -> bool:
    """Whether the real path `path` is `directory` or below it."""
    return relative_to(path, directory) is not None


def prefix_of(directory: str) -> str:
    """The prefix of the directory and all paths below it, each with a trailing slash."""
    return directory.rstrip("/") + "/"


def relative_to(path: str, directory: str) -> str | None:
    """The rest of `path` below `directory`, "" for the directory itself, None if outside."""
    prefix = prefix_of(directory)
    return path[len(prefix) :] if prefix_of(path).startswith(prefix) else None


def join_below(directory: str, rest: str) -> str:
    """The path of `rest`, "" for `directory` itself: the inverse of `relative_to`."""
    return os.path.join(directory, rest) if rest else directory


def list_above(path: str) -> Iterator[str]:
    """The parents of `path`, as text, from the nearest on."""
    while len(above := os.path.dirname(path)) < len(path):
        yield above
        path = above
