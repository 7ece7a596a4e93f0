"""Cases that are written once for several."""

import pytest

from airlock_conformance.variants import spread


def test_each_entry_makes_a_case() -> None:
    """Alone its value keeps its type; within text it is text; what has no entries stays."""
    plain = {"id": "plain", "text": "@state@"}
    written = {
        "id": "say-@case@",
        "steps": [{"say": "@value@ and @value@"}, {"await": "@value@"}, 1],
        "each": [{"case": "one", "value": 1}, {"case": "two", "value": None}],
    }
    assert list(spread([plain, written])) == [
        plain,
        {"id": "say-one", "steps": [{"say": "1 and 1"}, {"await": 1}, 1]},
        {"id": "say-two", "steps": [{"say": "None and None"}, {"await": None}, 1]},
    ]


@pytest.mark.parametrize("each", [[], {}, "x", [1], [{}], [{"case": "a", "other": "b"}]], ids=str)
def test_entries_that_make_no_case_are_told(each: object) -> None:
    """Also one with a value that nothing has."""
    with pytest.raises(ValueError, match=r"each: must be|nothing has @other@"):
        list(spread([{"id": "@case@", "each": each}]))
