import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_modules import OptionTable, RuleError, parse, parse_options
from airlock_modules.rules.grammar_rules import Facts, named_flags, parse_grammar_rule
from airlock_modules.rules.rule import RuleList
from tool_table import TABLE

FLAT = parse_options(
    'tool = "x"\nversion = "1"\nsource = "y"\nsubcommands = 1\nopen = true\n'
    '[commands.run]\nflags = ["-o VALUE"]\n',
    "options.toml",
)


def matches(rule: str, line: str, *, certain: bool = False, table: OptionTable = TABLE) -> bool:
    facts = Facts.of(parse(table, line.split()))
    return parse_grammar_rule(rule, table).find(facts, certain=certain) is not None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("run x y", True),
        ("run -o z x -q y w", True),
        ("run --flag z x y", True),
        ("run --flag x y", True),
        ("run -- x y", True),
        ("run z x y", False),
        ("run x", False),
        ("run x -o y", False),
        ("go run x y", False),
        ("", False),
    ],
)
def test_words_beyond_the_subcommand_are_those_that_follow(line: str, expected: bool) -> None:
    """Flags between them do not matter, nor a word that may be the value of one."""
    assert matches("run x y", line, table=FLAT) is expected
    is_certain = expected and "--flag z" not in line
    assert matches("run x y", line, table=FLAT, certain=True) is is_certain


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("--force", "push -f"),
        ("-f", "push --force"),
        ("--force", "push -uf"),
        ("--force", "push x --forc"),
        ("--force", "push --force=true"),
        ("--no-verify", "push --no-ver"),
        ("--exec=x*", "push --exec xy"),
        ("--exec=x*", "push --exe=xy"),
        ("--push-option=x", "push -fox"),
        ("--volume=/*:*", "run -itv /:/h image"),
        ("--volume=/*:*", "run -v=/:/h image"),
        ("--filters=b", "push --filters a b"),
        ("--*=x", "push --exec=x"),
        ("--paginate", "-p log"),
        ("push", "-C d push"),
        ("remote add", "remote -v add"),
        ("add", "remote add"),
        ("push & +*", "push origin +main"),
        ("push & +*", "push -- +main"),
        ("push & --exec & *x", "push ax --exec=b"),
        ("--exec!={x,y}", "push --exec z"),
        ("--exec!={x,y}", "push --exec x --exec=z"),
        ("--push-option!=x", "push -fo=x"),
    ],
)
def test_a_rule_matches_whatever_the_tool_would_take_for_it(rule: str, line: str) -> None:
    """Aliases, clusters, abbreviations, values and places make no difference."""
    assert matches(rule, line)


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("--force", "push -- --force"),
        ("--force", "push --exec --force"),
        ("--force", "push --force-with-lease"),
        ("--verify", "push --no-verify"),
        ("--exec=x", "push --exec=y"),
        ("--exec=x", "push --exec"),
        ("--volume", "run image -v /:/h"),
        ("push", "log push"),
        ("remote add", "add remote"),
        ("add", "remote"),
        ("p*", "push"),
        ("push & +*", "log +main"),
        ("--exec!={x,y}", "push --exec x --exe=y"),
        ("--exec!=x", "push --exec"),
    ],
)
def test_a_rule_matches_nothing_else(rule: str, line: str) -> None:
    """Values, words of another place, and other people's arguments are not what it names."""
    assert not matches(rule, line)


def test_where_there_are_no_subcommands_every_word_is_compared() -> None:
    """As a pattern, which a text without wildcards is too."""
    table = parse_options('tool = "x"\nversion = "1"\nsource = "y"\nglobal = ["-x VALUE"]', "o")
    rule = parse_grammar_rule("host", table)
    assert rule.find(Facts.of(parse(table, ["-x", "a", "b", "host"]))) == ("host",)
    assert rule.find(Facts.of(parse(table, ["-x", "host"]))) is None


@pytest.mark.parametrize("line", ["push --forc", "push -o=x"])
def test_a_certain_match_allows_no_other_reading(line: str) -> None:
    """What permits a request must hold however the tool reads it."""
    rule = "--push-option=x" if "-o" in line else "--force"
    assert matches(rule, line)
    assert not matches(rule, line, certain=True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must have text"),
        ("push & ", "must have text"),
        ("--", "is not the name of a flag"),
        ("--!=x", "is not the name of a flag"),
        ("-", "is not the name of a flag"),
        ("--x={a", "the pattern .* is invalid"),
        ("+*[", "the pattern .* is invalid"),
    ],
)
def test_a_rule_that_cannot_be_read_is_an_error(text: str, problem: str) -> None:
    """It says what is wrong."""
    with pytest.raises(RuleError, match=problem):
        parse_grammar_rule(text, TABLE)


def test_the_flags_that_rules_name_are_known() -> None:
    """Those with wildcards name none."""
    rules = tuple(parse_grammar_rule(text, TABLE) for text in ("push & --x!=*", "-y", "--*=z", "a"))
    assert named_flags(rules) == ("--x", "-y")


RULES = ["push", "--force", "+*", "push & --force", "remote add & -f", "--*=x", "log & -p", "-p"]
LINES = st.lists(st.sampled_from(["push", "remote", "add", "-f", "-p", "log", "+x", "--exec=x"]))


@given(st.lists(st.sampled_from(RULES), unique=True), LINES)
def test_the_index_changes_nothing(texts: list[str], args: list[str]) -> None:
    """Looking at the indexed rules alone finds what looking at each of them finds."""
    rules = RuleList(tuple(parse_grammar_rule(text, TABLE) for text in texts))
    facts = Facts.of(parse(TABLE, args))
    tried = ((rule, rule.find(facts)) for rule in rules.rules)
    assert rules.find(facts) == next((pair for pair in tried if pair[1] is not None), None)


def test_an_index_cannot_be_forged() -> None:
    """Whatever is passed for it, it is made from the rules."""
    rule = parse_grammar_rule("push", TABLE)
    assert RuleList((rule,), {"x": [3]}, (7,)) == RuleList((rule,))
