import json

from hypothesis import given
from hypothesis import strategies as st

from airlock_modules import Parsed, PlainReading, describe_reading, dump_reading, parse
from airlock_modules.reading.parsed import read_plain
from tool_table import TABLE


def test_a_reading_is_told_line_by_line() -> None:
    """The interpretation of each argument, in order, then the unparsed ones."""
    line = "-C d push -fox --forc -S=k --exec y origin --nope --receipt r"
    assert describe_reading(parse(TABLE, line.split())) == (
        'subcommand "push"',
        'flag "-C" with "d" in argument 1',
        'flag "-f" (is --force) in argument 4',
        'flag "-o" (is --push-option) with "x" in argument 4',
        'flag "--forc" (may be "--force", "--force-with-lease") in argument 5',
        'flag "-S" (is --sign) with "=k" or "k" in argument 6',
        'flag "--exec" with "y" in argument 7',
        'word "origin" in argument 9',
        'flag "--receipt" with "r" in argument 11',
        'unknown "--nope" in argument 10',
        'path "d" of -C in argument 2',
        'path "r" below "d" of --receipt in argument 12',
    )


def test_what_belongs_to_somebody_else_is_told_as_such() -> None:
    """Only its beginning is shown."""
    parsed = parse(TABLE, ["run", "image", *["a"] * 12])
    assert describe_reading(parsed)[-1] == "not for this tool: " + '"a" ' * 10 + "..."
    assert describe_reading(parse(TABLE, ["lfs", "x"])) == (
        'subcommand "lfs" (unknown to the option table)',
        'not for this tool: "x"',
    )


def test_a_reading_is_told_as_data() -> None:
    """Names, values and numbers of arguments from 1."""
    data = dump_reading(parse(TABLE, ["-p", "push", "-ox", "w", "-z"]))
    assert data == {
        "subcommand": ["push"],
        "known": True,
        "flags": [
            {
                "text": "-p",
                "argument": 1,
                "names": ["-p", "--paginate"],
                "values": [],
                "sure": True,
                "before_subcommand": True,
            },
            {
                "text": "-o",
                "argument": 3,
                "names": ["-o", "--push-option"],
                "values": ["x"],
                "sure": True,
                "before_subcommand": False,
            },
        ],
        "words": [{"text": "w", "argument": 4}],
        "unknown": [{"text": "-z", "argument": 5}],
        "rest": [],
        "paths": [],
    }


def test_a_reading_without_a_table_is_told_too() -> None:
    """Flags, words, and possible values, each with the number of its argument."""
    reading = read_plain(["push", "-fx", "--force", "y", "--a=b"])
    assert describe_reading(reading) == (
        'word "push" in argument 1',
        'flag "-f" with "x" in argument 2',
        'flag "--force" in argument 3',
        'word, or value of the flag before, "y" in argument 4',
        'flag "--a" with "b" in argument 5',
    )
    assert dump_reading(read_plain(["-fx"])) == [
        {"raw": "-fx", "role": "flag", "flag": "-f", "value": "x"}
    ]


@given(st.lists(st.text(st.characters(), max_size=6), max_size=8))
def test_any_reading_can_be_told(args: list[str]) -> None:
    """Lines are printable for any input; data can be encoded as JSON."""
    readings: list[PlainReading | Parsed] = [read_plain(args)]
    readings += [parse(TABLE, [command, *args]) for command in ("push", "add", "run")]
    for reading in readings:
        assert all(line.isprintable() for line in describe_reading(reading))
        assert json.loads(json.dumps(dump_reading(reading))) == dump_reading(reading)
