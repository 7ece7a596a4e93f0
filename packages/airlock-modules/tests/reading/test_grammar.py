from airlock_modules import Piece
from readings import flags_of, read, words_of


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


def test_several_values_end_at_the_next_flag() -> None:
    """A flag that takes many words takes all until a dash."""
    parsed = read("push --filters a b -f c")
    assert flags_of(parsed) == [("--filters", ("a", "b")), ("--force", ())]
    assert words_of(parsed) == ["c"]


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


def test_two_dashes_where_a_subcommand_may_follow_are_unknown() -> None:
    """Tools differ in whether one may still come."""
    assert read("-- push").unknown == (Piece("--", 0),)
    assert read("remote -- add").unknown == (Piece("add", 2),)
    assert read("remote -- x").unknown == ()


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
