import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_modules import Argument, read_arguments


@pytest.mark.parametrize(
    ("raw", "argument"),
    [
        ("--name=v", Argument("--name=v", "flag", "--name", "v")),
        ("--name=a=b", Argument("--name=a=b", "flag", "--name", "a=b")),
        ("--name=", Argument("--name=", "flag", "--name", "")),
        ("--name", Argument("--name", "flag", "--name")),
        ("--=v", Argument("--=v", "flag", "--", "v")),
        ("-xREST", Argument("-xREST", "flag", "-x", "REST")),
        ("-x=v", Argument("-x=v", "flag", "-x", "=v")),
        ("-x", Argument("-x", "flag", "-x")),
        ("-éa", Argument("-éa", "flag", "-é", "a")),
        ("-", Argument("-", "positional")),
        ("", Argument("", "positional")),
        ("--", Argument("--", "positional")),
        ("word", Argument("word", "positional")),
        ("\udcff", Argument("\udcff", "positional")),
    ],
)
def test_one_argument_is_read_by_its_form(raw: str, argument: Argument) -> None:
    """Dashes and the first = say what an argument is."""
    assert read_arguments([raw]).arguments == (argument,)


@pytest.mark.parametrize(
    ("args", "roles"),
    [
        (["-c", "x", "y"], ["flag", "maybe-value", "positional"]),
        (["--c", "x"], ["flag", "maybe-value"]),
        (["-cx", "y"], ["flag", "maybe-value"]),
        (["-c=x", "y"], ["flag", "positional"]),
        (["--c=", "y"], ["flag", "positional"]),
        (["-c", "-d", "x"], ["flag", "flag", "maybe-value"]),
        (["-c", "", "x"], ["flag", "maybe-value", "positional"]),
        (["-c", "-", "x"], ["flag", "maybe-value", "positional"]),
        (["-c", "--", "x"], ["flag", "positional", "positional"]),
        (["--", "-c", "x", "--d=1", "--"], ["positional"] * 5),
        (["a", "b"], ["positional", "positional"]),
    ],
)
def test_roles_depend_on_what_came_before(args: list[str], roles: list[str]) -> None:
    """A word behind an open flag may be its value, and after -- there are no flags."""
    assert [argument.role for argument in read_arguments(args).arguments] == roles


def test_after_the_double_dash_nothing_is_a_flag() -> None:
    """A dashed word behind -- has neither flag nor value."""
    reading = read_arguments(["-a", "--", "-b=1"])
    assert reading.arguments[2] == Argument("-b=1", "positional")
    assert list(reading.flags) == ["-a"]


def test_places_are_those_of_the_first_and_of_all_flags() -> None:
    """Texts are found at their first place, flags at each of theirs."""
    reading = read_arguments(["x", "-v", "x", "-v1", "x"])
    assert reading.raw == {"x": 0, "-v": 1, "-v1": 3}
    assert reading.positional == {"x": 0}
    assert reading.flags == {"-v": [1, 3]}


@given(st.lists(st.text(st.characters(), max_size=6)))
def test_any_strings_can_be_read_and_none_is_lost(args: list[str]) -> None:
    """Reading keeps each argument, in order."""
    assert [argument.raw for argument in read_arguments(args).arguments] == args
