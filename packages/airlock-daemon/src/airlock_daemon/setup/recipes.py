"""What a person is told about a command that has no module: the nearest name, or a recipe."""

import difflib
from collections.abc import Iterable

from airlock_modules import builtin_names, recipe_names


def say_recipe(name: str) -> str:
    """What is put behind the advice to write a module for `name`, "" without a recipe for it."""
    return f" (there is a recipe: airlock-daemon show {name})" if name in recipe_names() else ""


def say_nearest(name: str, known: Iterable[str] = ()) -> str:
    """What is put before other advice about `name`: a built-in or `known` name like it, else ""."""
    nearest = difflib.get_close_matches(name, {*builtin_names(), *known}, n=1)
    return f'write "{nearest[0]}", or ' if nearest else ""
