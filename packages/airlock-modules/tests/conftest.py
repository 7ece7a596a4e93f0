"""Fixtures that several test modules share."""

from collections.abc import Callable

import pytest

from airlock_modules import Grant, Module, builtin_names, load_builtin, parse_module


@pytest.fixture
def make_module() -> Callable[..., Module]:
    """Return a function that makes the module `tool` from lists of deny or allow rules."""

    def make(*, deny: list[str] | None = None, allow: list[str] | None = None) -> Module:
        mode, rules = ("allow", allow) if allow is not None else ("deny", deny or [])
        quoted = ", ".join(f"'{rule}'" for rule in rules)
        text = f'[command]\nbin = "tool"\n[{mode}]\nargs = [{quoted}]\n'
        return parse_module(text, name="tool", source="tool.toml")

    return make


@pytest.fixture(scope="session")
def builtin_grant() -> Grant:
    """Return a grant of all built-in modules."""
    names = builtin_names()
    return Grant(ceiling=names, modules={name: load_builtin(name) for name in names})
