"""The files of the built-in modules, which ship with this package."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

GIT_REMOTE = "git-remote"
"""The built-in module by which an agent reaches git's remotes."""

GIT_SIGN = "git-sign"
"""The built-in module that signs for an agent."""


@cache
def builtin_names() -> tuple[str, ...]:
    """Return the commands that have a built-in module, sorted."""
    return tuple(
        sorted(
            entry.name for entry in _folder().iterdir() if entry.joinpath("module.toml").is_file()
        )
    )


def builtin_text(name: str) -> str:
    """Return the TOML of a built-in module, which is valid as an override. Raises `KeyError`."""
    return _read(name, "module.toml")


def builtin_options(name: str) -> str:
    """Return the option table of a built-in module as TOML. Raises `KeyError` if it has none."""
    return _read(name, "options.toml")


def builtin_security(name: str) -> str:
    """Return the SECURITY.md of a built-in module: threats, reasons, gaps. Raises `KeyError`."""
    return _read(name, "SECURITY.md")


def _folder() -> "Traversable":
    # Importing it is a large part of the package's import time, and many processes never need it.
    from importlib.resources import files  # noqa: PLC0415

    return files("airlock_modules").joinpath("builtin")


def _read(name: str, file: str) -> str:
    # The name may come from a command line; only a listed one becomes part of a path.
    if name not in builtin_names():
        raise KeyError(name)
    try:
        return _folder().joinpath(name, file).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise KeyError(name) from None
