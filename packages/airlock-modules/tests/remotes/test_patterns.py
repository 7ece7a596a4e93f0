"""Patterns of a person's, and hostile texts that they are matched against."""

import functools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_modules.remotes.grants import (
    compile_option,
    compile_pattern,
    compile_protection,
    fold,
    is_pattern,
)

_NOT_CROSSED = {"*": "/%", "**": "%"}
_NOT_CROSSED_WHERE_PROTECTED = {"*": "/", "**": ""}


@given(st.text("ab/%*", max_size=9).filter(is_pattern), st.text("ab/%", max_size=10))
def test_matching_agrees_with_the_definition(pattern: str, text: str) -> None:
    """The plain recursive definition is the reference."""
    pieces = re.findall(r"\*+|[^*]", pattern)

    def define(crossed: dict[str, str]) -> bool:
        @functools.cache
        def match(p: int, t: int) -> bool:
            if p == len(pieces):
                return t == len(text)
            if pieces[p] in crossed:
                goes_on = t < len(text) and text[t] not in crossed[pieces[p]]
                return match(p + 1, t) or (goes_on and match(p, t + 1))
            return t < len(text) and pieces[p] == text[t] and match(p + 1, t + 1)

        return match(0, 0)

    assert bool(compile_pattern(pattern).fullmatch(text)) == define(_NOT_CROSSED)
    is_protected = bool(compile_protection(pattern).fullmatch(text))
    assert is_protected == define(_NOT_CROSSED_WHERE_PROTECTED)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("acme/*-*-*-*-*", "acme/" + "-" * 4000 + "/"),
        ("*=*=*", "=" * 60_000 + "/"),
        ("**a*a" * 8 + "*b", "a" * 4000),
        ("**/a*/a*/a**/a*b", "/a" * 2000),
        ("**a" * 8 + "**b", "a/" * 2000),
    ],
)
def test_hostile_text_does_not_make_matching_explode(pattern: str, text: str) -> None:
    """A path or an option of a push that would keep the daemon from everything else for minutes."""
    assert not compile_pattern(pattern).fullmatch(text)
    assert not compile_protection(pattern).fullmatch(text)


@pytest.mark.parametrize(
    "text", ["refs/heads/Main", "\uff27r\u00f6\u00dfe", "x\ufe0f", "\uff0f\u034f"]
)
def test_what_was_folded_is_its_own_only_form(text: str) -> None:
    """A pattern that is folded matches what is folded alike."""
    for each in fold(text):
        assert each in fold(each)
        assert compile_protection(text).fullmatch(each)


def test_a_character_that_is_folded_to_a_star_is_none() -> None:
    """A protection of one ref stays that."""
    assert not compile_protection("refs/heads/\uff0a").fullmatch("refs/heads/main")


@pytest.mark.parametrize("character", ["\0", "\t", "\n", "\r", "\x7f", "\x85", "\u2028", "\u2029"])
def test_no_star_matches_a_control_character(character: str) -> None:
    """Only what protects does, and no pattern can spell one out."""
    for pattern in ("a*b", "a**b", "a**"):
        assert not compile_pattern(pattern).fullmatch(f"a{character}b")
        assert not compile_option(pattern).fullmatch(f"a{character}b")
        assert compile_protection(pattern).fullmatch(f"a{character}b")
    assert not is_pattern(f"a{character}")


def test_no_star_of_a_push_option_matches_a_semicolon() -> None:
    """A server may read another option behind it, so that a person spells it out."""
    assert not compile_option("ci.*").fullmatch("ci.skip;ci.variable=x")
    assert not compile_option("ci.**").fullmatch("ci.skip;ci.variable=x")
    assert compile_option("ci.*;ci.*").fullmatch("ci.skip;ci.variable=x")
    assert compile_pattern("ci.*").fullmatch("ci.skip;x")
