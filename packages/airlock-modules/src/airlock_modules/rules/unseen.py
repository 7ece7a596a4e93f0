"""Finds rules that git-remote can never match."""

from collections.abc import Iterable

from airlock_modules.reading.plain import read_plain
from airlock_modules.rules.grammar_rules import WordPart
from airlock_modules.rules.judgement import PlainRules
from airlock_modules.rules.parsed_judgement import GrammarRules, read_facts
from airlock_modules.rules.rule import Part, Read, Rule, TextPart

_URL, _REF = "ssh://host/path", "refs/heads/main"
_ASKED = (("fetch", _URL), ("push", _URL, _REF), ("push", "--delete", _URL, _REF))


def list_unseen(rules: PlainRules | GrammarRules) -> tuple[str, ...]:
    """Return the refusing rules of module and profile that no git-remote request can match.

    Rules of mode `allow` are not considered.
    """
    if isinstance(rules, PlainRules):
        readings = [read_plain(args) for args in _ASKED]
        own = rules.rules.rules if rules.mode == "deny" else ()
        return tuple(_list((*own, *rules.narrowing.rules), readings))
    facts = [read_facts(rules, args) for args in _ASKED]
    refusing = rules.rules.rules if rules.mode == "deny" else rules.exceptions.rules
    return tuple(_list((*refusing, *rules.narrowing.rules), facts, WordPart))


def _list(rules: Iterable[Rule[Read]], asked: Iterable[Read], *open_parts: type) -> Iterable[str]:
    """Yield the rules that match none of the requests; parts of types `open_parts` always match."""
    readings = tuple(asked)
    for rule in rules:
        if not any(
            all(_may_match(part, each, open_parts) for part in rule.parts) for each in readings
        ):
            yield rule.text


def _may_match(part: Part[Read], asked: Read, open_parts: tuple[type, ...]) -> bool:
    """Whether a part matches a request like this one for some URL and ref."""
    if isinstance(part, open_parts):
        return True
    if isinstance(part, TextPart) and ("://" in part.text or part.text.startswith("refs/")):
        return True
    return part.find(asked, certain=False) is not None
