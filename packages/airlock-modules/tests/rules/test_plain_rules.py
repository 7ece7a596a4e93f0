import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_modules import RuleError
from airlock_modules.reading.parsed import read_plain
from airlock_modules.rules.rule import RuleList, parse_plain_rule

TABLE = json.loads((Path(__file__).parent / "v04_rules.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", TABLE, ids=[case["why"] for case in TABLE])
def test_rules_match_what_v04_matched(case: dict[str, Any]) -> None:
    """Each rule of the table matches the arguments that it did in v0.4, and no others."""
    rule = parse_plain_rule(case["rule"])
    missed = [args for args in case["matches"] if rule.find(read_plain(args)) is None]
    wrong = [args for args in case["passes"] if rule.find(read_plain(args)) is not None]
    assert (missed, wrong) == ([], [])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("credential", [("TextPart", "credential")]),
        ("--exec", [("TextPart", "--exec")]),
        ("a=b", [("TextPart", "a=b")]),
        ("--pid=host", [("ValuePart", "--pid=host")]),
        ("clone & -u", [("TextPart", "clone"), ("TextPart", "-u")]),
        ("a & --b=c & d", [("TextPart", "a"), ("ValuePart", "--b=c"), ("TextPart", "d")]),
    ],
)
def test_rule_text_says_what_kind_of_rule_it_is(text: str, parts: list[tuple[str, str]]) -> None:
    """A set is split at ` & `, and a dash with = makes a pattern."""
    assert [(type(part).__name__, part.text) for part in parse_plain_rule(text).parts] == parts


@pytest.mark.parametrize("text", ["", "a & ", " & a", "a &  & b", " & "])
def test_a_part_without_text_is_an_error(text: str) -> None:
    """A rule that could match nothing, or everything, is refused."""
    with pytest.raises(RuleError, match="must have text"):
        parse_plain_rule(text)


def test_an_invalid_pattern_is_an_error_that_shows_it() -> None:
    """The error of a rule names the pattern and what is wrong in it."""
    with pytest.raises(RuleError, match=r'the pattern "\{a" is invalid: the \{ at character 1'):
        parse_plain_rule("--x={a")


@pytest.mark.parametrize(
    ("rule", "args", "found"),
    [
        ("clone & -v=/*", "-q x clone -v /:/h", ("clone", "-v", "/:/h")),
        ("clone & -u", "clone -ux", ("clone", "-ux")),
        ("--pid=host", "-- --pid=host", ("--pid=host",)),
        ("-=", "-=", ("-=",)),
        ("-v", "a -v1 -v2", ("-v1",)),
    ],
)
def test_the_matching_arguments_are_found(rule: str, args: str, found: tuple[str, ...]) -> None:
    """Those of each part, and of a flag its value where that is an argument of its own."""
    assert parse_plain_rule(rule).find(read_plain(args.split())) == found


def test_the_first_matching_rule_of_the_file_is_found() -> None:
    """The order of the module decides which rule is reported."""
    rules = RuleList((parse_plain_rule("b"), parse_plain_rule("a")))
    found = rules.find(read_plain(["a", "b"]))
    assert found is not None
    assert found[0].text == "b"
    assert rules.find(read_plain(["c"])) is None


@given(st.lists(st.text("-=ab ", max_size=4), max_size=6), st.text("-=ab*", min_size=1, max_size=5))
def test_any_rule_can_be_asked_about_any_arguments(args: list[str], text: str) -> None:
    """A match gives arguments that are there."""
    found = parse_plain_rule(text).find(read_plain(args))
    assert found is None or set(found) <= set(args)


@given(
    st.lists(
        st.sampled_from(["a", "-b", "-b=x", "-b=*y", "a & -c", "-c & a", "--", "--d=", "-c=x"])
    ),
    st.lists(
        st.sampled_from(["a", "-b", "x", "-bx", "-b=x", "y", "-c", "--", "--d=", "--d", "-cx"])
    ),
)
def test_the_index_changes_nothing(texts: list[str], args: list[str]) -> None:
    """Looking at the indexed rules alone finds what looking at each of them finds."""
    rules = RuleList(tuple(parse_plain_rule(text) for text in texts))
    reading = read_plain(args)
    tried = ((rule, rule.find(reading)) for rule in rules.rules)
    assert rules.find(reading) == next((pair for pair in tried if pair[1] is not None), None)
