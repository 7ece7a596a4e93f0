"""The attacks that the pages about security say are left, and those that show it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.canary.boxes.catalogue import BOX_FAMILIES
from e2e.canary.catalogue import FAMILIES

_CHECKOUT = Path(__file__).parents[3]
_MODULES = _CHECKOUT / "packages/airlock-modules/src/airlock_modules/builtin"
_PAGES = (
    _CHECKOUT / "SECURITY.md",
    *sorted(_CHECKOUT.glob("docs/security/*.md")),
    *sorted(_MODULES.glob("*/SECURITY.md")),
)
_TEXT = (_CHECKOUT / "docs/security/boxes.md").read_text(encoding="utf-8")
_SECTION = _TEXT.partition("## What is left, by name")[2].partition("\n## ")[0]


def test_what_is_left_is_named_and_shown() -> None:
    """Each attack that is known to work is in the table, and no other is."""
    named = re.findall(r"`([a-z-]+: [^`]+)`", _SECTION)
    known = {
        f"{family.name}: {attack.name}"
        for family in (*FAMILIES, *BOX_FAMILIES)
        for attack in family.attacks
        if attack.known
    }
    assert len(set(named)) == len(named)
    assert {*named} == known


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_CHECKOUT)))
def test_what_is_said_to_show_something_is_there(page: Path) -> None:
    """Each file of this checkout, and each test, that the page names."""
    named = re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8"))
    paths = [each for each in named if re.fullmatch(r"(conformance|e2e|fuzz|packages)/\S+", each)]
    assert [path for path in paths if not (_CHECKOUT / path).exists()] == []
    tests = {each for each in named if re.fullmatch(r"test_\w+", each)}
    assert tests <= {*_list_tests()}


def _list_tests() -> Iterator[str]:
    for folder in ("e2e", "packages"):
        for path in (_CHECKOUT / folder).rglob("test_*.py"):
            yield from re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(), re.MULTILINE)
