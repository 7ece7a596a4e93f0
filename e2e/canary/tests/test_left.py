"""What SECURITY.md says that is left, and the attacks that show it."""

import re
from pathlib import Path

from e2e.canary.boxes.catalogue import BOX_FAMILIES
from e2e.canary.catalogue import FAMILIES

_TEXT = (Path(__file__).parents[3] / "SECURITY.md").read_text(encoding="utf-8")
_SECTION = _TEXT.partition("### What is left, by name")[2].partition("\n## ")[0]


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
