"""Members read one by one."""

from collections.abc import Callable

import pytest
from msgspec import Raw

from airlock_wire.members import (
    ABSENT,
    Fault,
    read_boolean,
    read_size,
    read_string,
    string_of,
)

Read = Callable[[Raw, str], object]


@pytest.mark.parametrize(
    ("read", "json", "value"),
    [
        (read_string, b'"x"', "x"),
        (read_string, rb'"\u0000"', "\0"),
        (read_boolean, b"true", True),
        (read_boolean, b"false", False),
        (read_size, b"0", 0),
        (read_size, b"65535", 65535),
    ],
)
def test_good_members_are_read(read: Read, json: bytes, value: object) -> None:
    """Each has a type of its own."""
    assert read(Raw(json), "params.x") == value


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (read_string, "a string"),
        (read_boolean, "true or false"),
        (read_size, "an integer from 0 to 65535"),
    ],
)
@pytest.mark.parametrize("json", [None, b"null", b"[]", b"{}", b"-1", b"65536", b"1.0", b"1e999"])
def test_a_fault_names_the_whole_path(read: Read, expected: str, json: bytes | None) -> None:
    """So does its error, for programs; an absent member is reported as missing."""
    with pytest.raises(Fault) as caught:
        read(ABSENT if json is None else Raw(json), "params.x.y")
    error = caught.value.error
    assert error.data is not None
    assert error.data.path == "params.x.y"
    problem = "is missing" if json is None else f"must be {expected}"
    assert error.message == f"params.x.y {problem}"


def test_what_is_no_string_can_be_asked_for_one() -> None:
    """Where something else is no fault, or has one of its own."""
    members = (Raw(b'"x"'), Raw(b"5"), Raw(b"null"), ABSENT)
    assert [string_of(member) for member in members] == ["x", None, None, None]
