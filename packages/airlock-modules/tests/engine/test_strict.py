import json

import pytest

from airlock_modules.engine import (
    MAX_BODY,
    Reference,
    Refused,
    decode,
    list_references,
    resolve,
)
from airlock_modules.engine.strict import (
    dropped,
    flag,
    items,
    mapping,
    number,
    one_of,
    record,
    text,
)

_SCHEMA = record(
    {
        "Name": text("[a-z]+"),
        "Deep": record({"Flag": flag}),
        "Count": number(0, 10),
        "Kind": one_of(1, "x"),
        "Default": dropped(-1),
        "List": items(text(), limit=2),
        "Map": mapping(text(), flag),
    }
)


def _read(body: str) -> object:
    return _SCHEMA(decode(body.encode()), "")


def test_listed_keys_are_written_anew() -> None:
    """What a schema lists passes; defaults, nulls and unlisted zeros are dropped."""
    body = """{"Name": "\\u0061", "Deep": {"Flag": true, "X": null}, "Count": 3, "Kind": 1,
      "Default": -1, "List": ["a"], "Map": {"k": false}, "Other": {}, "Zero": 0, "No": false,
      "Empty": "", "None": []}"""
    assert _read(body) == {
        "Name": "a",
        "Deep": {"Flag": True},
        "Count": 3,
        "Kind": 1,
        "List": ["a"],
        "Map": {"k": False},
    }


@pytest.mark.parametrize(
    "body",
    [
        '{"Name": "a", "Name": "b"}',
        '{"Name": "a", "name": ""}',
        '{"DEEP": {"Flag": true}}',
        '{"Deep": {"flag": false}}',
        '{"\\u212aind": 0}',
        '{"Li\\u017ft": []}',
        '{"Deep": {"Flag": true, "Flag": false}}',
        '{"Other": 1}',
        '{"Other": {"a": 0}}',
        '{"Other": [0]}',
        '{"Deep": {"Other": true}}',
        '{"Deep": []}',
        '{"Deep": {"Flag": 1}}',
        '{"Deep": {"Flag": "true"}}',
        '{"Count": 1.0}',
        '{"Count": true}',
        '{"Count": 11}',
        '{"Count": -1}',
        '{"Count": NaN}',
        '{"Kind": true}',
        '{"Kind": 1.0}',
        '{"Default": 0}',
        '{"List": ["a", "b", "c"]}',
        '{"List": {"0": "a"}}',
        '{"Name": "a\\u0000"}',
        '{"Name": "A"}',
        '{"List": ["\\ud800"]}',
        '{"Map": {"k": null}}',
        "[]",
        "null",
        "",
        "{} {}",
        "{} // x",
        "\ufeff{}",
        '{"Other": ' + "[" * 40 + "]" * 40 + "}",
        "[" * 100_000,
        '{"Count": ' + "1" * 5000 + "}",
    ],
)
def test_what_go_may_read_differently_is_refused(body: str) -> None:
    """Doubled keys, keys in another case, other types, constants and depth are refused."""
    with pytest.raises(Refused) as error:
        _read(body)
    assert error.value.hint


def test_bytes_that_are_no_text_or_too_many_are_refused() -> None:
    """A body that is no UTF-8, or longer than the limit, is refused."""
    for body in (b'{"Name": "\xff"}', b'"' + b"a" * MAX_BODY + b'"'):
        with pytest.raises(Refused):
            decode(body)


def test_a_refusal_names_the_place() -> None:
    """A refusal names the key from the body on, and what it was."""
    with pytest.raises(Refused, match=r"Deep\.Privileged = true is not granted"):
        _read('{"Deep": {"Privileged": true}}')


def test_references_are_replaced_everywhere() -> None:
    """References are found and replaced in keys, lists and values, with what stands before."""
    one, two = Reference("network", "a"), Reference("container", "b", before="container:")
    value = {one: [two, "x"], "k": {"n": one}}
    assert set(list_references(value)) == {one, two}
    assert resolve(value, {one: "1", two: "2"}) == {"1": ["container:2", "x"], "k": {"n": "1"}}
    with pytest.raises(TypeError):
        json.dumps(value)
