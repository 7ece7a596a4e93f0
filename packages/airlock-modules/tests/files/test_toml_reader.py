from typing import Any

import pytest

from airlock_modules import Fault, TableReader


def read(text: str) -> tuple[TableReader, list[Fault]]:
    faults: list[Fault] = []
    reader = TableReader.parse(text, source="f.toml", faults=faults)
    assert reader is not None
    return reader, faults


def test_nesting_without_end_is_a_fault() -> None:
    """A file that would exhaust the stack is refused like any other bad one."""
    faults: list[Fault] = []
    text = "a = " + "[" * 100_000
    assert TableReader.parse(text, source="f.toml", faults=faults) is None
    assert len(faults) == 1


@pytest.mark.parametrize("text", ['s = "a\\u0000"', 's = ["a\\u0000"]', 's = { A = "a\\u0000" }'])
def test_nul_is_a_fault_in_every_string(text: str) -> None:
    """No program can be given a NUL, so no file may hold one."""
    reader, faults = read(text)
    reads: dict[str, Any] = {'"': reader.string, "[": reader.strings, "{": reader.string_map}
    reads[text[4]]("s")
    assert "NUL" in faults[0].problem


def test_a_boolean_is_no_integer_and_no_number() -> None:
    """What Python lets pass as an int is a fault in TOML."""
    reader, faults = read("i = true\nn = false")
    reader.integer("i", default=0)
    reader.number("n", default=0)
    assert [fault.key for fault in faults] == ["i", "n"]


@pytest.mark.parametrize(("value", "found"), [("4", 1), ("11", 1), ("5", 0), ("10", 0)])
def test_integers_are_held_in_their_range(value: str, found: int) -> None:
    """Both ends of the range belong to it."""
    reader, faults = read(f"i = {value}")
    reader.integer("i", default=5, minimum=5, maximum=10)
    assert len(faults) == found


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "-1", "1e300", "1" + "0" * 400])
def test_numbers_are_finite_and_in_their_range(value: str) -> None:
    """A number that is no time in seconds is a fault."""
    reader, faults = read(f"n = {value}")
    assert reader.number("n", default=0.0, minimum=0.0, maximum=100.0) == 0.0
    assert len(faults) == 1


def test_an_integer_of_absurd_length_is_a_fault() -> None:
    """A number that Python itself refuses to read is a fault of the file like any other."""
    faults: list[Fault] = []
    assert TableReader.parse("n = " + "1" * 9999, source="f.toml", faults=faults) is None
    assert len(faults) == 1


def test_a_choice_names_what_can_be_chosen() -> None:
    """A value that is none of the options is answered with all of them."""
    reader, faults = read('c = "three"')
    assert reader.choice("c", ["one", "two"], default="one") == "one"
    assert faults[0].remedy == 'write one of "one", "two"'


def test_faulty_members_of_a_map_are_named_and_left_out() -> None:
    """The good members of a table of strings survive the bad ones."""
    reader, faults = read('m = { A = "1", B = 2 }')
    assert reader.string_map("m") == {"A": "1"}
    assert faults[0].key == "m.B"


def test_finishing_twice_reports_once() -> None:
    """A reader may be finished by itself and with the outermost one."""
    reader, faults = read("[t]\nx = 1")
    reader.table("t").finish()
    reader.finish()
    reader.finish()
    assert len(faults) == 1


def test_unknown_keys_are_refused_with_the_nearest_known() -> None:
    """A mistyped key, here and in an inner table, is a fault that says what was probably meant."""
    reader, faults = read('strig = "x"\naprove = 1\n[env]\nstripp = []\n[zzz]\n')
    reader.string("string")
    assert not reader.has("approve")
    reader.table("env").strings("strip")
    reader.finish()
    found = {fault.key: fault for fault in faults}
    assert set(found) == {"strig", "aprove", "env.stripp", "zzz"}
    assert found["aprove"].remedy == 'write "approve", or remove it'
    assert found["zzz"].remedy == "remove it; known here: approve, env, string"
    assert '"string"' in found["strig"].remedy
    assert '"strip"' in found["env.stripp"].remedy
    assert found["zzz"].problem == "unknown table"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a = ", "line 1, column 5"),
        ('a = "', "line 1, column 6"),
        ('\na = 1\nb = "x', "line 3, column 7"),
        ("a = 1\n= 2", "line 2, column 1"),
        ('a = """\n', "line 2, column 1"),
    ],
)
def test_the_place_of_an_error_is_given_at_the_end_of_a_file_too(text: str, place: str) -> None:
    """A string that is never closed is reported at the line where the file ends."""
    faults: list[Fault] = []
    TableReader.parse(text, source="f.toml", faults=faults)
    assert place in faults[0].problem
