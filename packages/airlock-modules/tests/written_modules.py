"""Minimal module files for tests."""

import pytest
from msgspec.structs import replace

from airlock_modules import Decision, Grant, Module, ModuleError, Sandbox, evaluate, parse_module

HEAD = '[command]\nbin = "tool"\n'


def read_module(text: str) -> Module:
    """Parse the file of a module `tool`, adding only its program."""
    return parse_module(HEAD + text, name="tool", source="tool.toml")


def ask_module(module: Module, *args: str) -> Decision:
    """Return the module's decision; it gets a box if its file names none."""
    boxed = module if module.sandbox else replace(module, sandbox=Sandbox(box="home"))
    return evaluate(Grant(ceiling=("tool",), modules={"tool": boxed}), "tool", args)


def faults_of(text: str) -> list[str]:
    """Return the faults of such a file, one line each."""
    with pytest.raises(ModuleError) as caught:
        read_module(text)
    return [str(fault) for fault in caught.value.faults]
