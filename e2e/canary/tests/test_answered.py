"""The attacks that reviews have found: each is tried by something that there is."""

import ast
import tomllib
from pathlib import Path
from typing import Any

import pytest
from e2e.canary.boxes.catalogue import BOX_FAMILIES
from e2e.canary.catalogue import FAMILIES

_CHECKOUT = Path(__file__).parents[3]
_TEXT = Path(__file__).parents[1].joinpath("answered.toml").read_text(encoding="utf-8")
_ROWS: list[dict[str, Any]] = tomllib.loads(_TEXT)["attack"]
_NAMES = [
    f"{family.name}: {attack.name}"
    for family in (*FAMILIES, *BOX_FAMILIES)
    for attack in family.attacks
]


def _list_daily(path: Path) -> set[str]:
    """The tests of a file, without those that run at night alone."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and "mark.nightly" in ast.unparse(node):
            return set()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            marks = [ast.unparse(each) for each in node.decorator_list]
            found |= set() if "pytest.mark.nightly" in marks else {node.name}
    return found


def _is_there(trial: str) -> bool:
    path, _, test = trial.partition("::")
    if (_CHECKOUT / path).is_file():
        return not test or test in _list_daily(_CHECKOUT / path)
    if trial.endswith("*"):
        return any(name.startswith(trial[:-1]) for name in _NAMES)
    return trial in _NAMES


@pytest.mark.parametrize("row", _ROWS, ids=lambda row: row["what"])
def test_what_tries_it_exists(row: dict[str, Any]) -> None:
    """Attacks by their names, tests that run before each change, and files of cases."""
    assert set(row) <= {"what", "tried_by", "open"}
    assert row["tried_by"]
    assert [trial for trial in row["tried_by"] if not _is_there(trial)] == []


def test_no_attack_stands_there_twice() -> None:
    """Each in words of its own."""
    assert len({row["what"] for row in _ROWS}) == len(_ROWS)
