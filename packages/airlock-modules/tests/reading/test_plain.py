import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_modules.reading.parsed import PlainArgument, read_plain


@pytest.mark.parametrize(
    ("raw", "argument"),
    [
        ("--name=v", PlainArgument("--name=v", "flag", "--name", "v")),
        ("--name=a=b", PlainArgument("--name=a=b", "flag", "--name", "a=b")),
        ("--name=", PlainArgument("--name=", "flag", "--name", "")),
        ("--name", PlainArgument("--name", "flag", "--name")),
        ("--=v", PlainArgument("--=v", "flag", "--", "v")),
        ("-xREST", PlainArgument("-xREST", "flag", "-x", "REST")),
        ("-x=v", PlainArgument("-x=v", "flag", "-x", "=v")),
        ("-x", PlainArgument("-x", "flag", "-x")),
        ("-éa", PlainArgument("-éa", "flag", "-é", "a")),
        ("-", PlainArgument("-", "positional")),
        ("", PlainArgument("", "positional")),
        ("--", PlainArgument("--", "positional")),
        ("word", PlainArgument("word", "positional")),
        ("\udcff", PlainArgument("\udcff", "positional")),
    ],
)
def test_one_argument_is_read_by_its_form(raw: str, argument: PlainArgument) -> None:
    """Dashes and the first = say what an argument is."""
    assert read_plain([raw]).arguments == (argument,)


@pytest.mark.parametrize(
    ("args", "roles"),
    [
        (["-c", "x", "y"], ["flag", "maybe-value", "positional"]),
        (["--c", "x"], ["flag", "maybe-value"]),
        (["-cx", "y"], ["flag", "positional"]),
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
    """A word behind a flag without a value may be that, and after -- there are no flags."""
    assert [argument.role for argument in read_plain(args).arguments] == roles


def test_after_the_double_dash_nothing_is_a_flag() -> None:
    """A dashed word behind -- has neither flag nor value."""
    reading = read_plain(["-a", "--", "-b=1"])
    assert reading.arguments[2] == PlainArgument("-b=1", "positional")
    assert list(reading.flags) == ["-a"]


def test_what_rules_look_up_is_gathered() -> None:
    """Texts, positionals, and the arguments that are a flag."""
    reading = read_plain(["x", "-v", "y", "-v1", "x"])
    assert reading.raw == {"x", "-v", "y", "-v1"}
    assert reading.positionals == {"x"}
    assert reading.flags == {"-v": [1, 3]}


@given(st.lists(st.text(st.characters(), max_size=6)))
def test_any_strings_can_be_read_and_none_is_lost(args: list[str]) -> None:
    """Reading keeps each argument, in order."""
    assert [argument.raw for argument in read_plain(args).arguments] == args
