"""Module files for tests, written as short as they can be."""

import pytest
from msgspec.structs import replace

from airlock_modules import Decision, Grant, Module, ModuleError, Sandbox, evaluate, parse_module

HEAD = '[command]\nbin = "tool"\n'


def read_module(text: str) -> Module:
    """Read the file of a module called `tool`, to which only its program is added."""
    return parse_module(HEAD + text, name="tool", source="tool.toml")


def ask_module(module: Module, *args: str) -> Decision:
    """Return what the module decides where nothing else stands in the way.

    Where its file names no box, it has one.
    """
    boxed = module if module.sandbox else replace(module, sandbox=Sandbox(box="home"))
    return evaluate(Grant(ceiling=("tool",), modules={"tool": boxed}), "tool", args)


def faults_of(text: str) -> list[str]:
    """Return the faults of such a file, a line each."""
    with pytest.raises(ModuleError) as caught:
        read_module(text)
    return [str(fault) for fault in caught.value.faults]
