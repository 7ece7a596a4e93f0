"""The modules that ship inside this package and upgrade with it."""

from typing import TYPE_CHECKING

from .module_file import Module, parse_module

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


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


def builtin_security(name: str) -> str:
    """Return the SECURITY.md of a built-in module: threats, reasons, gaps. Raises `KeyError`."""
    return _read(name, "SECURITY.md")


def load_builtin(name: str) -> Module:
    """Return a built-in module. Raises `KeyError` where there is none of that name."""
    return parse_module(
        builtin_text(name), name=name, source=f"built-in module {name}", builtin=True
    )


def _folder() -> "Traversable":
    # Loading it is a good part of the package's import time, and many processes never need it.
    from importlib.resources import files  # noqa: PLC0415

    return files(__package__).joinpath("builtin")


def _read(name: str, file: str) -> str:
    # The name may come from a command line; only a listed one ever becomes part of a path.
    if name not in builtin_names():
        raise KeyError(name)
    return _folder().joinpath(name, file).read_text(encoding="utf-8")
