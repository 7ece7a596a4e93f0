"""Tools that read arguments in another way than most: Go's flags, getopt, open tables, dashes."""

import pytest

from airlock_modules import Piece, parse_options
from readings import flags_of, read, words_of

GO = parse_options(
    """
    tool = "go"
    version = "1"
    source = "made up"
    style = "go"
    subcommands = 2
    global = ["-chdir CHDIR"]
    [commands.apply]
    flags = ["-auto-approve", "-var VALUE", "-x"]
    [commands."state rm"]
    """,
    "options.toml",
)


@pytest.mark.parametrize("line", ["-auto-approve", "--auto-approve", "-auto-approve=true"])
def test_go_takes_one_dash_or_two(line: str) -> None:
    """And a value of a switch joined by =."""
    (flag,) = read("apply " + line, table=GO).flags
    assert flag.name == "-auto-approve"


def test_go_has_values_but_no_clusters() -> None:
    """A value is joined by = or is the next word; letters are not read one by one."""
    assert flags_of(read("apply -var a=b --var=a=b", table=GO)) == [("-var", ("a=b",))] * 2
    assert [word.text for word in read("apply -xx ---x -=", table=GO).unknown] == [
        "-xx",
        "---x",
        "-=",
    ]


def test_a_subcommand_whose_beginning_is_not_listed_is_found_by_all_its_words() -> None:
    """`state` has no flags and no words of its own; `state rm` is listed."""
    assert read("state rm x", table=GO).command == ("state", "rm")
    assert [word.text for word in read("state -x rm", table=GO).unknown] == ["-x"]
    assert not read("state nuke", table=GO).knows_command


SSH = parse_options(
    """
    tool = "ssh"
    version = "1"
    source = "made up"
    style = "getopt"
    subcommands = 0
    remote_command = true
    global = ["-4", "-A", "-v", "-o VALUE", "-p VALUE"]
    """,
    "options.toml",
)


@pytest.mark.parametrize(
    ("line", "flags", "rest"),
    [
        ("-vo X h", ["-v", "-o"], ()),
        ("h -4A", ["-4", "-A"], ()),
        ("h -p 22 tar -A", ["-p"], ("tar", "-A")),
        ("h tar -A", [], ("tar", "-A")),
        ("h -- -A", [], ("-A",)),
        ("h -v -- -A", ["-v"], ("-A",)),
        ("-- h -A", [], ("-A",)),
        ("-v -- h -A", ["-v"], ("-A",)),
    ],
)
def test_a_remote_command_begins_behind_the_host_and_its_options(
    line: str, flags: list[str], rest: tuple[str, ...]
) -> None:
    """Options are read before and directly behind the host, up to the next word or --."""
    parsed = read(line, table=SSH)
    assert ([flag.name for flag in parsed.flags], parsed.rest) == (flags, rest)
    assert words_of(parsed) == ["h"]
    assert parsed.unknown == ()


def test_getopt_has_no_long_names_and_keeps_an_equals_sign() -> None:
    """Two dashes with something behind them are nothing that it knows."""
    parsed = read("--version -v- -p=2 h", table=SSH)
    assert [word.text for word in parsed.unknown] == ["--version", "-v-"]
    assert flags_of(parsed)[-1] == ("-p", ("=2",))


OPEN = parse_options(
    """
    tool = "cloud"
    version = "1"
    source = "made up"
    abbreviations = true
    subcommands = 2
    open = true
    everywhere = ["--region VALUE", "--debug"]
    [commands."s3 cp"]
    flags = ["--acl VALUE"]
    """,
    "options.toml",
)


def test_an_open_table_takes_unlisted_subcommands_and_their_flags() -> None:
    """All words that may name the subcommand do; an unlisted flag may take the next word."""
    parsed = read("--debug ec2 describe-x --ids i-1 --region=eu w", table=OPEN)
    assert parsed.command == ("ec2", "describe-x")
    assert flags_of(parsed)[1:] == [("--ids", ("i-1",)), ("--region", ("eu",))]
    assert [flag.sure for flag in parsed.flags] == [False, True]
    assert words_of(parsed) == ["i-1", "w"]
    assert parsed.unknown == ()
    assert flags_of(read("s3 cp --acl x --nope", table=OPEN)) == [("--acl", ("x",)), ("--nope", ())]


def test_an_open_table_must_know_flags_before_the_subcommand_is_complete() -> None:
    """An unlisted flag there could have one of its words for a value."""
    assert read("--x s3 rm", table=OPEN).unknown == (Piece("--x", 0),)
    assert read("ec2 --x terminate", table=OPEN).unknown == (Piece("--x", 1),)


def test_a_cut_name_in_an_open_table_may_be_a_flag_of_its_own() -> None:
    """It counts as both; whether the next argument is its value is open, so it is read as well."""
    (flag,) = read("ec2 x --reg=y", table=OPEN).flags
    assert flag.names == ("--region", "--reg")
    parsed = read("ec2 x --reg --nope", table=OPEN)
    assert flags_of(parsed) == [("--reg", ("--nope",)), ("--nope", ())]
    assert [flag.sure for flag in parsed.flags] == [False, False]
    # Where that decides over all that follows, it is not read.
    assert read("ec2 x --reg -- --nope", table=OPEN).unknown == (Piece("--reg", 2),)


def test_a_dash_among_letters_of_an_open_table_is_of_a_value() -> None:
    """The letters before it are seen, whichever of them takes it."""
    parsed = read("s3 cp -ab-c", table=OPEN)
    assert flags_of(parsed) == [("-a", ()), ("-b", ())]
    assert parsed.unknown == ()
