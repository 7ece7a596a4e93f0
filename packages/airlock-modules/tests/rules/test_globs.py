import fnmatch
import functools
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_modules import RuleError
from airlock_modules.rules.glob import MAX_ALTERNATIVES, MAX_DEPTH, parse_glob, parse_pattern


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("", [""], ["a"]),
        ("abc", ["abc"], ["ab", "abcd", "ABC", "abc\n"]),
        ("*", ["", "a", "a/b", "a\nb", "\udcff"], []),
        ("/*:*", ["/:", "/:/h", "/a/b:/h:ro"], ["a:/h", "/a"]),
        ("a?c", ["abc", "a/c", "a\nc", "aéc"], ["ac", "abbc"]),
        ("[a-c]", ["a", "b", "c"], ["d", "", "-", "ab"]),
        ("[!a-c]", ["d", "-", "\n"], ["a", ""]),
        ("[^a]", ["b"], ["a"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[!]]", ["a"], ["]"]),
        ("[[]", ["["], ["]"]),
        ("[.+^$|]", [".", "+", "^", "$", "|"], ["a"]),
        (r"[\]x]", ["]", "x"], ["\\"]),
        ("{a,b}", ["a", "b"], ["", "ab", "{a,b}"]),
        ("{,x}y", ["y", "xy"], ["x"]),
        ("{a{b,c},d*}e", ["abe", "ace", "de", "dxe"], ["ae", "bce"]),
        ("{}", [""], ["{}"]),
        ("a}", ["a}"], ["a"]),
        ("{a,b}}", ["a}", "b}"], ["a", "{a}}"]),
        ("a,b", ["a,b"], ["a"]),
        (r"\*\?\[\{", ["*?[{"], ["xx[{"]),
        ("a.b+(c)$^|", ["a.b+(c)$^|"], ["aXb+(c)$^|"]),
        ("*a*b*", ["ab", "xaxbx"], ["ba"]),
        ("**", ["", "ab"], []),
        ("a*a", ["aa", "aba"], ["a"]),
        ("*ab*ab", ["abab", "xabab", "ababab"], ["ab", "xab"]),
    ],
)
def test_patterns_match_the_whole_text(pattern: str, matching: list[str], other: list[str]) -> None:
    """Each wildcard means what the module says, anchored at both ends."""
    glob = parse_glob(pattern)
    assert [text for text in matching if not glob.matches(text)] == []
    assert [text for text in other if glob.matches(text)] == []


def test_a_pattern_may_ignore_the_case_of_ascii_letters() -> None:
    """Where rules are read with a grammar; elsewhere it begins with those characters."""
    pattern = parse_pattern("(#i)core.{Pager,x}[!vt]")
    texts = ("core.pager1", "CORE.X1", "Core.PAGERy", "core.xV", "core.xt", "core.y1")
    assert [pattern.matches(text) for text in texts] == [True, True, True, False, False, False]
    assert not parse_pattern("(#i)k").matches("\u212a")
    assert parse_pattern("A").literal == "A"
    assert parse_glob("(#i)a").matches("(#i)a")


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("a[bc", "the [ at character 2 is not closed"),
        ("[]", "not closed"),
        ("[!]", "not closed"),
        ("{a,b", "the { at character 1 is not closed"),
        ("[z-a]", 'the range "z" to "a" runs backwards'),
        ("[b-\x01]", r'the range "b" to "\u{1}" runs backwards'),
        ("a\\", "ends with a backslash"),
        ("{a,b}" * 9, f"more than {MAX_ALTERNATIVES}"),
        ("{" * (MAX_DEPTH + 1) + "}" * (MAX_DEPTH + 1), f"more than {MAX_DEPTH}"),
        ("{" * 100_000, f"more than {MAX_DEPTH}"),
    ],
)
def test_invalid_patterns_are_errors_that_say_where(pattern: str, reason: str) -> None:
    """A pattern that nobody can have meant is refused when it is read."""
    with pytest.raises(RuleError) as caught:
        parse_glob(pattern)
    assert reason in str(caught.value)


def test_only_a_pattern_without_wildcards_is_literal() -> None:
    """The literal text has escapes resolved and is absent where there is a choice."""
    assert parse_glob("host").literal == "host"
    assert parse_glob(r"\*").literal == "*"
    assert parse_glob("").literal == ""
    assert [parse_glob(text).literal for text in ("a*", "?", "[a]", "{a,b}")] == [None] * 4


@given(st.text("ab*?", max_size=8), st.text("ab\n", max_size=10))
def test_stars_and_question_marks_agree_with_fnmatch(pattern: str, text: str) -> None:
    """Python's own globbing is the reference for what it knows."""
    assert parse_glob(pattern).matches(text) == fnmatch.fnmatchcase(text, pattern)


@given(
    st.lists(st.lists(st.text("ab*?", max_size=3), min_size=1, max_size=3), max_size=3),
    st.text("ab", max_size=8),
)
def test_braces_are_the_same_as_their_patterns_written_out(
    choices: list[list[str]], text: str
) -> None:
    """A brace pattern matches if one of the patterns does that it stands for."""
    pattern = "".join("{" + ",".join(choice) + "}" for choice in choices)
    expected = any(
        fnmatch.fnmatchcase(text, "".join(parts)) for parts in itertools.product(*choices)
    )
    assert parse_glob(pattern).matches(text) == expected


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_matching_agrees_with_the_definition(pattern: str, text: str) -> None:
    """The plain recursive definition of a glob is the reference."""

    @functools.cache
    def match(p: int, t: int) -> bool:
        if p == len(pattern):
            return t == len(text)
        if pattern[p] == "*":
            return match(p + 1, t) or (t < len(text) and match(p, t + 1))
        return t < len(text) and pattern[p] in ("?", text[t]) and match(p + 1, t + 1)

    assert parse_glob(pattern).matches(text) == match(0, 0)


@pytest.mark.parametrize("character", ["\0", "\t", "\n", "\r", "\x7f", "\x9f", "\u2028"])
def test_no_wildcard_of_a_pattern_that_allows_stands_for_a_control_character(
    character: str,
) -> None:
    """One that refuses matches it, and a pattern without wildcards what it says."""
    for pattern in ("a*", "a?", "a[!x]", "{a,b}*"):
        assert parse_glob(pattern).matches(f"a{character}")
        assert not parse_glob(pattern).permits(f"a{character}")
    assert parse_glob(f"a{character}").permits(f"a{character}")


def test_hostile_text_does_not_make_matching_explode() -> None:
    """Patterns on which backtracking takes exponential time come back on a long text."""
    glob = parse_glob("*a" * 30 + "b")
    assert not glob.matches("a" * 20_000)
    assert parse_glob("*[/a]*:*").matches("x" * 1_000_000 + "/:")
