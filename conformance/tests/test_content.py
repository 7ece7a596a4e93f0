"""Contents of the case files as bytes."""

import pytest

from airlock_conformance.content import Content, encode, substitute


@pytest.mark.parametrize(
    ("content", "data"),
    [
        ("é", b"\xc3\xa9"),
        ({"base64": "/w=="}, b"\xff"),
        ({"json": {"a": "é"}}, b'{"a":"\xc3\xa9"}\n'),
        ({"message": {"method": "x"}}, b'{"jsonrpc":"2.0","method":"x"}\n'),
        ({"text": "ab", "repeat": 3}, b"ababab"),
        ({"parts": ["a", {"base64": "/w=="}, {"parts": ["b"]}]}, b"a\xffb"),
    ],
)
def test_encode(content: Content, data: bytes) -> None:
    """Each form stands for its bytes."""
    assert encode(content) == data


def test_encode_refuses_other_forms() -> None:
    """An object of no known form is a fault of the case."""
    with pytest.raises(ValueError, match="not a content"):
        encode({"hex": "ff"})


def test_substitute_replaces_only_given_names() -> None:
    """Placeholders are replaced at any depth; another @ is left alone."""
    value = {"a": ["@x@/b", 1, {"c": "me@y.z @other@"}]}
    assert substitute(value, {"x": "/d"}) == {"a": ["/d/b", 1, {"c": "me@y.z @other@"}]}
