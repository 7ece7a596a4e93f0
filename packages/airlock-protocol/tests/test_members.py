"""Members read one by one."""

import pytest

from airlock_wire.members import (
    Fault,
    is_given,
    open_object,
    parse,
    read_boolean,
    read_integer,
    read_object,
    read_string,
)

MEMBERS = open_object(
    b'{"object":{"a":1},"string":"x","true":true,"number":7,"null":null,"twice":1,"twice":"x"}'
)


def test_good_members_are_read() -> None:
    """The last part of a path is the name."""
    assert bytes(read_object(MEMBERS, "params.object")["a"]) == b"1"
    assert read_string(MEMBERS, "params.x.string") == "x"
    assert read_string(MEMBERS, "params.twice") == "x"
    assert read_boolean(MEMBERS, "true") is True
    assert read_integer(MEMBERS, "number", most=7) == 7


@pytest.mark.parametrize("read", [read_object, read_string, read_boolean])
@pytest.mark.parametrize("name", ["number", "null", "missing"])
def test_a_fault_names_the_whole_path(read: object, name: str) -> None:
    """So does its error, for programs."""
    assert callable(read)
    with pytest.raises(Fault) as caught:
        read(MEMBERS, f"params.x.{name}")
    error = caught.value.error
    assert error.data is not None
    assert error.data.path == f"params.x.{name}"
    assert error.message.startswith(f"params.x.{name} ")


def test_null_counts_as_absent_where_that_is_asked() -> None:
    """An optional member is given when it is neither missing nor null."""
    given = [name for name in ("null", "missing", "number") if is_given(MEMBERS, f"x.{name}")]
    assert given == ["number"]


def test_what_is_no_json_is_called_by_its_name() -> None:
    """The subject of the sentence is the caller's."""
    assert parse(' {"a": 1} ', subject="it") == b'{"a": 1}'
    with pytest.raises(Fault, match=r"^the message is not JSON: "):
        parse("{", subject="the message")
