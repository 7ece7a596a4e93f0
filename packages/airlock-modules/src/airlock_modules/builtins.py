"""The modules that ship inside this package and upgrade with it."""

from .builtin_files import builtin_text
from .module_file import Module, parse_module


def load_builtin(name: str) -> Module:
    """Return a built-in module. Raises `KeyError` where there is none of that name."""
    return parse_module(
        builtin_text(name), name=name, source=f"built-in module {name}", builtin=True
    )
