"""Tests of `engine.answers`: a list is taken apart as it comes, and what is too long left out."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_modules.engine import MAX_OBJECT, Listing, answers

_text = st.text('ab"\\[]{},:\u2028é', max_size=8)
_value = st.recursive(
    st.none() | st.booleans() | st.integers() | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
)
_objects = st.lists(st.dictionaries(_text, _value, max_size=4), max_size=5)


def read(data: bytes, step: int, *, longest: int = MAX_OBJECT) -> tuple[dict[str, list[Any]], int]:
    """What is found in an answer that comes in pieces, and how many are too long."""
    listing = Listing(longest)
    parts = [listing.feed(data[at : at + step]) for at in range(0, len(data), step)]
    listing.end()
    whole: dict[str, list[Any]] = {}
    for name, found in (each for part in parts for each in part.items()):
        whole.setdefault(name, []).extend(found)
    return whole, listing.dropped


@given(_objects, st.integers(1, 40), st.booleans(), st.sampled_from([20, 1000]))
def test_a_list_is_found_however_it_comes(
    objects: list[Any], step: int, is_ascii: bool, longest: int
) -> None:
    """Each object that is not too long, in its order."""
    data = json.dumps(objects, ensure_ascii=is_ascii).encode()
    fitting = [
        each for each in objects if len(json.dumps(each, ensure_ascii=is_ascii).encode()) <= longest
    ]
    found = {"": fitting} if fitting else {}
    assert read(data, step, longest=longest) == (found, len(objects) - len(fitting))


@given(_objects, _objects, _value, st.integers(1, 40))
def test_lists_are_found_in_an_object(
    images: list[Any], volumes: list[Any], other: object, step: int
) -> None:
    """By their names; numbers, texts and objects there are passed over."""
    more = {"Size": 1, "Text": "]", "Object": {"x": [{"y": other}]}, "Words": ["}", 1]}
    answer = {"Images": images, **more, "Volumes": volumes, "Warnings": None}
    found = {name: value for name, value in (("Images", images), ("Volumes", volumes)) if value}
    assert read(json.dumps(answer).encode(), step) == (found, 0)


def test_no_text_is_looked_at_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a long label that comes in many pieces would cost its length for each."""
    real, seen = answers._TOKEN, 0

    class Counting:
        def finditer(self, data: bytes) -> Iterator[re.Match[bytes]]:
            nonlocal seen
            seen += len(data)
            return real.finditer(data)

    monkeypatch.setattr(answers, "_TOKEN", Counting())
    objects = [{"Labels": {"x": "\\" * (MAX_OBJECT // 2 - 100)}}]
    data = json.dumps(objects).encode()
    assert read(data, 1 << 14) == ({"": objects}, 0)
    assert seen < len(data) + 1000


@pytest.mark.parametrize(
    "data", [b"[{", b'[{"a":1}', b'{"A":[{"a":"x', b'["', b'[{"a":]}]', b"null"]
)
def test_what_is_cut_off_is_no_list(data: bytes) -> None:
    """Nor is what is no JSON."""
    with pytest.raises(msgspec.DecodeError):
        read(data, 3)
