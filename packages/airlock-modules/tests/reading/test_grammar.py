from collections.abc import Sequence

import pytest

from airlock_modules import Piece, parse
from readings import flags_of, read, words_of
from tool_table import TABLE


@pytest.mark.parametrize(
    "line",
    [
        "push --push-option x",
        "push --push-option=x",
        "push --push-o x",
        "push --pu=x",
        "push -o x",
        "push -ox",
    ],
)
def test_a_value_is_seen_in_every_spelling(line: str) -> None:
    """As the next word, joined by =, glued to the letter, and behind a name that was cut short."""
    assert flags_of(read(line)) == [("--push-option", ("x",))]
    assert read(line).words == ()


def test_letters_behind_one_dash_are_flags_of_their_own() -> None:
    """The last of them may take a value; a repeated one is told once."""
    assert flags_of(read("push -fufo x y")) == [
        ("--force", ()),
        ("--set-upstream", ()),
        ("--push-option", ("x",)),
    ]
    assert flags_of(read("push -fofu")) == [("--force", ()), ("--push-option", ("fu",))]
    assert flags_of(read("push -fSk")) == [("--force", ()), ("--sign", ("k",))]


def test_a_value_glued_with_an_equals_sign_may_have_lost_it() -> None:
    """Some tools take `-o=x` for the value `x`, some for `=x`; and `-f=true` for a switch."""
    assert flags_of(read("push -o=x -f=true -uf=")) == [
        ("--push-option", ("=x", "x")),
        ("--force", ("true",)),
        ("--set-upstream", ()),
        ("--force", ("",)),
    ]


def test_an_optional_value_is_joined_only() -> None:
    """The next word is not its value."""
    parsed = read("push --sign k -S k --sign=k --force-with-lease=a=b")
    assert [values for _, values in flags_of(parsed)] == [(), (), ("k",), ("a=b",)]
    assert words_of(parsed) == ["k", "k"]


def test_a_value_may_look_like_a_flag_or_like_the_end_of_flags() -> None:
    """The tool takes the next word whatever it is; at the end there is none."""
    assert flags_of(read("push --exec --force -o -- -f")) == [
        ("--exec", ("--force",)),
        ("--push-option", ("--",)),
        ("--force", ()),
    ]
    assert flags_of(read("push --exec")) == [("--exec", ())]


def test_several_values_end_at_the_next_flag() -> None:
    """A flag that takes many words takes all until a dash."""
    parsed = read("push --filters a b -f c")
    assert flags_of(parsed) == [("--filters", ("a", "b")), ("--force", ())]
    assert words_of(parsed) == ["c"]


def test_behind_two_dashes_nothing_is_a_flag() -> None:
    """The first -- ends flags, a second is a word."""
    parsed = read("push -f -- -u -- x")
    assert flags_of(parsed) == [("--force", ())]
    assert words_of(parsed) == ["-u", "--", "x"]


def test_flags_stand_before_and_behind_the_subcommand() -> None:
    """The same letter means what the tool means at that place."""
    parsed = read("-p -C d log -p -5 x -n3")
    assert [flag.name for flag in parsed.globals] == ["--paginate", "-C"]
    assert flags_of(parsed)[2:] == [("-p", ()), ("-<number>", ("5",)), ("-n", ("3",))]
    assert parsed.command == ("log",)
    assert words_of(parsed) == ["x"]
    assert read("push -C d").unknown == (Piece("-C", 1),)
    assert flags_of(read("push -D --profile=x")) == [("--debug", ()), ("--profile", ("x",))]


def test_a_long_name_behind_one_dash_goes_before_a_cluster() -> None:
    """Where the table has such a name the letters are not read one by one."""
    assert flags_of(read("log -cc")) == [("-cc", ())]


def test_a_beginning_of_several_names_is_all_of_them() -> None:
    """Where none takes the next word the flag has all their names."""
    (flag,) = read("push --forc").flags
    assert flag.names == ("-f", "--force", "--force-with-lease")
    assert flag.name == "--forc"


def test_a_beginning_that_leaves_the_next_word_open_is_unknown() -> None:
    """One reading takes the word for a value, the other for a flag: neither is chosen."""
    assert read("push --ex --force").unknown == (Piece("--ex", 1),)
    assert flags_of(read("push --ex=y")) == [("--ex", ("y",))]


def test_what_the_table_does_not_know_is_kept_as_unknown() -> None:
    """A long name, and a cluster with one bad letter; a table without abbreviations has no more."""
    assert read("push --nope -fz").unknown == (Piece("--nope", 1), Piece("-fz", 2))
    assert read("push --forced").unknown == (Piece("--forced", 1),)
    assert read("plain --debu").unknown == (Piece("--debu", 1),)


def test_the_longest_listed_words_are_the_subcommand() -> None:
    """Flags between its words belong to the shorter one."""
    parsed = read("remote -v add -f x")
    assert parsed.command == ("remote", "add")
    assert [(flag.name, flag.command) for flag in parsed.flags] == [
        ("-v", ("remote",)),
        ("-f", ("remote", "add")),
    ]
    assert read("config x get").command == ("config",)
    assert read("config get x").command == ("config", "get")


@pytest.mark.parametrize(
    ("line", "command", "rest"),
    [
        ("lfs -x", ("lfs",), ("-x",)),
        ("-p Push", ("Push",), ()),
        ("remote nuke x", ("remote", "nuke"), ("x",)),
    ],
)
def test_an_unknown_subcommand_ends_the_reading(
    line: str, command: tuple[str, ...], rest: Sequence[str]
) -> None:
    """Nothing can be said of what is behind it."""
    parsed = read(line)
    assert (parsed.knows_command, parsed.command, parsed.rest) == (False, command, rest)


def test_two_dashes_where_a_subcommand_may_follow_are_unknown() -> None:
    """Tools differ in whether one may still come."""
    assert read("-- push").unknown == (Piece("--", 0),)
    assert read("remote -- add").unknown == (Piece("add", 2),)
    assert read("remote -- x").unknown == ()


def test_no_arguments_are_no_subcommand() -> None:
    """Flags alone are those before a subcommand."""
    assert read("").command == ()
    assert [flag.name for flag in read("--version").globals] == ["--version"]


def test_the_image_ends_what_is_for_the_tool() -> None:
    """Everything behind the first word belongs to the container, also where -- stands before it."""
    parsed = read("run -itv /:/h image -v /:/x --")
    assert flags_of(parsed) == [("-i", ()), ("-t", ()), ("--volume", ("/:/h",))]
    assert (words_of(parsed), parsed.rest) == (["image"], ("-v", "/:/x", "--"))
    assert read("run -- image -i").rest == ("-i",)


def test_flags_end_at_the_first_word_where_they_do_not_mix() -> None:
    """As with Go's own flags."""
    parsed = read("plain -x a -x --")
    assert (flags_of(parsed), words_of(parsed)) == ([("-x", ())], ["a", "-x", "--"])


@pytest.mark.parametrize("words", [[""], ["-"], ["é"], ["\udcff"], ["a b"]])
def test_odd_words_are_words(words: list[str]) -> None:
    """A dash alone and the empty string are no flags."""
    assert words_of(parse(TABLE, ["push", *words])) == words
