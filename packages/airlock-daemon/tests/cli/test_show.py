"""What `airlock-daemon show` prints, used as an override."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from airlock_modules import Grant, builtin_names, builtin_text, evaluate, load_builtin, parse_module

VECTORS = Path(__file__).resolve().parents[4] / "conformance" / "vectors"


def arguments(test: dict[str, Any]) -> list[str]:
    """The arguments of a vector as the evaluator has them."""
    return [
        text if isinstance(text, str) else os.fsdecode(base64.b64decode(text["base64"]))
        for text in test["args"]
    ]


@pytest.mark.parametrize("name", builtin_names())
def test_an_override_with_the_shown_text_decides_as_the_module_it_replaces(name: str) -> None:
    """For every policy vector of the tool: nothing of a module is in its place or its origin."""
    path = VECTORS / f"{name}.json"
    if not path.is_file():
        pytest.skip("the conformance suite is not beside the package")
    shown = parse_module(builtin_text(name), name=name, source=f"commands/{name}.toml")
    builtin = load_builtin(name)
    for group in json.loads(path.read_text(encoding="utf-8"))["groups"]:
        for test in group["tests"]:
            mine, ours = (
                evaluate(Grant(ceiling=(name,), modules={name: module}), name, arguments(test))
                for module in (shown, builtin)
            )
            assert (mine.allowed, mine.rule, mine.paths) == (ours.allowed, ours.rule, ours.paths)
            if test["result"] == "allowed":
                assert mine.allowed, test["id"]
            else:
                # What the rules let pass must be a matter of the workspace.
                assert not mine.allowed or mine.paths, test["id"]
