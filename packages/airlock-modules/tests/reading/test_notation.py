import pytest

from airlock_modules.reading.option_table import FlagSpec, NotationError, normalise, parse_flag


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("-p --paginate", FlagSpec(names=("-p", "--paginate"))),
        ("--repo VALUE", FlagSpec(names=("--repo",), takes="value")),
        ("-c NAME=VALUE", FlagSpec(names=("-c",), takes="value")),
        ("-f --file PATH", FlagSpec(names=("-f", "--file"), takes="value", kind="PATH")),
        ("-C CHDIR", FlagSpec(names=("-C",), takes="value", kind="CHDIR")),
        ("--filters VALUE...", FlagSpec(names=("--filters",), takes="several")),
        ("-S --sign[=KEY]", FlagSpec(names=("-S", "--sign"), takes="optional")),
        ("--output[=PATH]", FlagSpec(names=("--output",), takes="optional", kind="PATH")),
        ("--rm[=BOOL]", FlagSpec(names=("--rm",))),
        ("-<number>", FlagSpec(names=("-<number>",))),
        ("-cc", FlagSpec(names=("-cc",))),
        ("-?", FlagSpec(names=("-?",))),
    ],
)
def test_a_description_says_names_and_value(text: str, spec: FlagSpec) -> None:
    """The last word, or what is in brackets, says what the flag takes."""
    assert parse_flag(text, style="gnu") == (spec,)


def test_a_flag_that_can_be_negated_is_two() -> None:
    """The negation has a name of its own, takes nothing, and knows what it negates."""
    assert parse_flag("-t --[no-]track[=MODE]", style="gnu", origin="global") == (
        FlagSpec(names=("-t", "--track"), takes="optional", origin="global"),
        FlagSpec(names=("--no-track",), negates=("-t", "--track"), origin="global"),
    )


def test_in_go_style_one_dash_and_two_are_the_same_name() -> None:
    """Tables, rules and arguments meet in the form with one dash."""
    assert parse_flag("--var VALUE", style="go") == parse_flag("-var VALUE", style="go")
    assert normalise("--var", "go") == "-var"
    assert normalise("--var", "gnu") == "--var"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the name of a flag"),
        ("x", "the name of a flag"),
        ("-", "the name of a flag"),
        ("--", "the name of a flag"),
        ("---x", "the name of a flag"),
        ("-x  --y", "the name of a flag"),
        ("-x VALUE --y", "the name of a flag"),
        ("--x=VALUE", "the name of a flag"),
        ("--x[=value]", "the name of a flag"),
        ("--x[=A] VALUE", "the name of a flag"),
        ("-[no-]x", "the name of a flag"),
        ("--x value", "does not end with a word in capitals"),
        ("--x VALUE..", "does not end with a word in capitals"),
    ],
)
def test_a_description_that_says_something_else_is_refused(text: str, problem: str) -> None:
    """A slip in a table is an error, never another flag."""
    with pytest.raises(NotationError, match=problem):
        parse_flag(text, style="gnu")


@pytest.mark.parametrize("text", ["--long", "-ab", "-<number>"])
def test_getopt_has_single_letters_only(text: str) -> None:
    """A longer name in a getopt table would never be found."""
    with pytest.raises(NotationError):
        parse_flag(text, style="getopt")
