"""Recipes: modules for tools without a built-in one, for a person to copy into a directory."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_SUFFIX = ".toml"


@cache
def recipe_names() -> tuple[str, ...]:
    """Return the commands that there is a recipe for, sorted."""
    names = (entry.name for entry in _folder().iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)))


def recipe_text(name: str) -> str:
    """Return the TOML of a recipe, whose first lines say what it leaves. Raises `KeyError`."""
    # The name may come from a command line; only a listed one ever becomes part of a path.
    if name not in recipe_names():
        raise KeyError(name)
    return _folder().joinpath(f"{name}{_SUFFIX}").read_text(encoding="utf-8")


def _folder() -> "Traversable":
    # Many processes never need it, and loading it takes time.
    from importlib.resources import files  # noqa: PLC0415

    return files("airlock_modules").joinpath("recipes")
