"""Subset matching: what a pattern takes and what it refuses."""

from typing import Any

import pytest

from airlock_conformance.matching import differences


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": {"b": [1, {"c": None}]}}, {"a": {"b": [1, {"c": None, "d": 0}]}}),
        (1, 1.0),
        ({"a": {"$any": True}}, {"a": None}),
        ({"a": {"$absent": True}}, {"b": 1}),
        ({"$contains": "b"}, "abc"),
        ({"$lacks": "x"}, "abc"),
        ({"$match": "a.c"}, "a\nc"),
        ({"$one_of": [1, {"$contains": "b"}]}, "b"),
        ({"$all_of": [{"$contains": "a"}, {"$lacks": "c"}]}, "ab"),
        ({"$set": ["a", "b"]}, ["b", "a"]),
        ({"$includes": ["a"]}, ["b", "a"]),
        ({"$at_least": 2}, 2),
    ],
)
def test_match(pattern: Any, value: Any) -> None:
    """A value that has what the pattern asks for matches, whatever else it has."""
    assert differences(pattern, value) == []


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": "1"}),
        ({"a": None}, {}),
        ({}, []),
        ([1], [1, 2]),
        (1, True),
        (False, 0),
        ({"a": {"$any": True}}, {}),
        ({"a": {"$absent": True}}, {"a": None}),
        ({"$contains": "x"}, "abc"),
        ({"$contains": "1"}, 1),
        ({"$lacks": "b"}, "abc"),
        ({"$match": "b"}, "abc"),
        ({"$one_of": [1, 2]}, 3),
        ({"$all_of": [{"$contains": "a"}, {"$contains": "c"}]}, "ab"),
        ({"$set": ["a", "b"]}, ["a"]),
        ({"$set": ["a"]}, ["a", "a"]),
        ({"$set": []}, {}),
        ({"$includes": ["c"]}, ["b", "a"]),
        ({"$at_least": 2}, 1),
        ({"$at_least": 1}, True),
    ],
)
def test_mismatch(pattern: Any, value: Any) -> None:
    """A value that lacks something, or has it in another type, does not match."""
    assert differences(pattern, value) != []


def test_each_difference_says_where() -> None:
    """A difference names the member and both values, and none hides another."""
    found = differences({"a": [1, {"b": 2}], "c": 3}, {"a": [1, {"b": 5}]})
    assert found == ["message.a[1].b: expected 2, got 5", "message.c: missing, expected 3"]


def test_a_mistyped_wildcard_is_an_error() -> None:
    """A wildcard that the suite does not know is a fault of the case, not a match."""
    with pytest.raises(ValueError, match=r"\$anything is not a wildcard"):
        differences({"a": {"$anything": True}}, {"a": 1})
