import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_modules import FlagPattern, RuleError, Rules, Word, parse_rule, read_arguments

TABLE = json.loads((Path(__file__).parent / "v04_rules.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", TABLE, ids=[case["why"] for case in TABLE])
def test_rules_match_what_v04_matched(case: dict[str, Any]) -> None:
    """Each rule of the table matches the arguments that it did in v0.4, and no others."""
    rule = parse_rule(case["rule"])
    missed = [args for args in case["matches"] if rule.find(read_arguments(args)) is None]
    wrong = [args for args in case["passes"] if rule.find(read_arguments(args)) is not None]
    assert (missed, wrong) == ([], [])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("credential", [("Word", "credential")]),
        ("--exec", [("Word", "--exec")]),
        ("a=b", [("Word", "a=b")]),
        ("--pid=host", [("FlagPattern", "--pid=host")]),
        ("clone & -u", [("Word", "clone"), ("Word", "-u")]),
        ("a & --b=c & d", [("Word", "a"), ("FlagPattern", "--b=c"), ("Word", "d")]),
    ],
)
def test_rule_text_says_what_kind_of_rule_it_is(text: str, parts: list[tuple[str, str]]) -> None:
    """A set is split at ` & `, and a dash with = makes a pattern."""
    assert [(type(part).__name__, part.text) for part in parse_rule(text).parts] == parts


@pytest.mark.parametrize("text", ["", "a & ", " & a", "a &  & b", " & "])
def test_a_part_without_text_is_an_error(text: str) -> None:
    """A rule that could match nothing, or everything, is refused."""
    with pytest.raises(RuleError, match="must have text"):
        parse_rule(text)


def test_an_invalid_pattern_is_an_error_that_shows_it() -> None:
    """The error of a rule names the pattern and what is wrong in it."""
    with pytest.raises(RuleError, match=r'the pattern "\{a" is invalid: the \{ at character 1'):
        parse_rule("--x={a")


def test_places_of_the_matching_arguments_are_found() -> None:
    """A match says which argument each part matched."""
    reading = read_arguments(["-q", "x", "clone", "-v", "/:/h"])
    assert parse_rule("clone & -v=/*").find(reading) == (2, 3)
    assert isinstance(parse_rule("-v=/*").parts[0], FlagPattern)
    assert isinstance(parse_rule("-v").parts[0], Word)


def test_the_first_matching_rule_of_the_file_is_found() -> None:
    """The order of the module decides which rule is reported."""
    rules = Rules(mode="deny", rules=(parse_rule("b"), parse_rule("a")))
    found = rules.find(read_arguments(["a", "b"]))
    assert found is not None
    assert found[0].text == "b"
    assert rules.find(read_arguments(["c"])) is None


@given(st.lists(st.text("-=ab ", max_size=4), max_size=6), st.text("-=ab*", min_size=1, max_size=5))
def test_any_rule_can_be_asked_about_any_arguments(args: list[str], text: str) -> None:
    """A match gives places that exist, one for each part."""
    rule = parse_rule(text)
    places = rule.find(read_arguments(args))
    assert places is None or all(0 <= place < len(args) for place in places)


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
    rules = Rules(mode="deny", rules=tuple(parse_rule(text) for text in texts))
    reading = read_arguments(args)
    tried = ((rule, rule.find(reading)) for rule in rules.rules)
    assert rules.find(reading) == next((pair for pair in tried if pair[1] is not None), None)


def test_an_index_cannot_be_forged() -> None:
    """Whatever is passed as index, it is made from the rules."""
    rules = Rules(mode="deny", rules=(parse_rule("a"),), index={"b": [0]})
    assert rules.index == {"a": [0]}
