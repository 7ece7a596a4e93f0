"""Rules about git, and what git-remote sees of a request.

A remote is asked to fetch, or to move or delete refs; how that was typed is not known there. So a
rule about a flag such as `--force`, or about another subcommand, never matches what is asked.
"""

from collections.abc import Iterable

from airlock_modules.reading.grammar import parse
from airlock_modules.reading.plain import read_plain
from airlock_modules.rules.grammar_rules import Facts, WordPart
from airlock_modules.rules.judgement import GrammarRules, PlainRules
from airlock_modules.rules.plain_rules import TextPart
from airlock_modules.rules.rule import Part, Read, Rule

_URL, _REF = "ssh://host/path", "refs/heads/main"
_ASKED = (("fetch", _URL), ("push", _URL, _REF), ("push", "--delete", _URL, _REF))


def list_unseen(rules: PlainRules | GrammarRules) -> tuple[str, ...]:
    """Return those of the rules that refuse which match nothing that a remote can be asked for.

    They are the module's and the profile's; a list of what alone is allowed is left out.
    """
    if isinstance(rules, PlainRules):
        readings = [read_plain(args) for args in _ASKED]
        own = rules.rules.rules if rules.mode == "deny" else ()
        return tuple(_list((*own, *rules.narrowing.rules), readings))
    facts = [Facts.of(parse(rules.table, args)) for args in _ASKED]
    refusing = rules.rules.rules if rules.mode == "deny" else rules.exceptions.rules
    return tuple(_list((*refusing, *rules.narrowing.rules), facts))


def _list(rules: Iterable[Rule[Read]], asked: Iterable[Read]) -> Iterable[str]:
    readings = tuple(asked)
    for rule in rules:
        if not any(all(_may_match(part, each) for part in rule.parts) for each in readings):
            yield rule.text


def _may_match(part: Part[Read], asked: Read) -> bool:
    """Whether a part matches a request like this one, for some place and ref."""
    if isinstance(part, WordPart):
        return True
    if isinstance(part, TextPart) and ("://" in part.text or part.text.startswith("refs/")):
        return True
    return part.find(asked, certain=False) is not None
