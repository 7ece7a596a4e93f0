"""Where a person learns that there is a recipe for a command that has no module."""

from airlock_modules import recipe_names


def say_recipe(name: str) -> str:
    """What is put behind the advice to write a module for `name`, "" without a recipe for it."""
    return f" (there is a recipe: airlock-daemon show {name})" if name in recipe_names() else ""
