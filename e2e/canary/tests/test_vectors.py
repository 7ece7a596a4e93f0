"""The policy vectors that are allowed for their box, and the attacks that show them harmless."""

import json
from pathlib import Path

from e2e.canary.boxes.catalogue import BOX_FAMILIES

_VECTORS = Path(__file__).parents[3] / "conformance" / "vectors"


def test_each_case_that_a_vector_names_is_carried_out() -> None:
    """An attack, FAMILY/CLASS: WORDS, of that class."""
    named = {
        test["canary"]
        for path in _VECTORS.glob("*.json")
        for group in json.loads(path.read_text(encoding="utf-8")).get("groups", ())
        for test in group["tests"]
        if "canary" in test
    }
    attacks = (attack.name for family in BOX_FAMILIES for attack in family.attacks)
    carried_out = {name.partition(": ")[0] for name in attacks}
    assert named
    assert named - carried_out == set()
