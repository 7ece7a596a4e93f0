"""Tests of `airlock_daemon.platform.darwin.leaves`, as far as they need no Mac."""

import ast
from pathlib import Path

import pytest

from airlock_daemon.platform.darwin import leaves, self_test

MAX_LINES = 20

FUNCTIONS = [
    node
    for node in ast.parse(Path(leaves.__file__).read_text()).body
    if isinstance(node, ast.FunctionDef)
]


@pytest.mark.parametrize("leaf", FUNCTIONS, ids=lambda leaf: leaf.name)
def test_a_leaf_is_one_call_and_has_a_check(leaf: ast.FunctionDef) -> None:
    """What no Linux test can run is short, and is tried on the user's own Mac."""
    assert leaf.end_lineno is not None
    assert leaf.end_lineno - leaf.lineno < MAX_LINES
    if not leaf.name.startswith("_"):
        assert leaf.name in Path(self_test.__file__).read_text()
