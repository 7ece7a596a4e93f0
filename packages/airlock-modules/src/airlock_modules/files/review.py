"""What in a module is not wrong, but for a person to look at: vain rules, and risky variables."""

import re
from collections.abc import Iterator, Mapping

from airlock_modules.files.faults import Fault, join_key
from airlock_modules.files.forwarding import find_steering
from airlock_modules.files.module_file import Module
from airlock_modules.files.sandbox_table import find_secret_places
from airlock_modules.reading.notation import normalise
from airlock_modules.reading.option_table import OptionTable
from airlock_modules.rules.grammar_rules import CommandPart, FlagPart, GrammarRule
from airlock_modules.rules.judgement import GrammarRules
from airlock_modules.rules.permissions import EVERYTHING, Permission
from airlock_modules.rules.rule import Read, Rule
from airlock_wire.text import quote

_SECRET = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|SECRETS|PASSWORD|PASSWD|PASSPHRASE|API_?KEY|ACCESS_KEY|PRIVATE_KEY)"
    r"(?:$|_)"
)


def review_module(module: Module) -> Iterator[Fault]:
    """Find what has no effect, and what should not reach a tool: variables, credentials in a box.

    That are rules that can never match, rules that others make needless, and flags and subcommands
    that the option table, which is of one version of the tool, does not have.
    """
    yield from _review_rules(module)
    is_closed = module.sandbox is not None and module.sandbox.box == "closed"
    # In a box that holds nothing there is nothing to steer to that the client does not have.
    forward = () if is_closed and not module.has_engine else module.forward
    for entry, name in find_steering(forward, overruled=(*module.strip, *module.set)):
        lets_in = "" if name == entry else f" lets in {name}, which"
        problem = f"{entry}{lets_in} can choose programs, files, accounts or peers for the tool"
        remedy = "remove it; what the tool needs of that kind belongs in the profile's [env] set"
        yield Fault(module.source, "env.forward", problem, remedy)
    for path in find_secret_places(module.sandbox):
        problem = f"{quote(path)} has credentials, and what a box shows the container can read"
        yield Fault(module.source, "sandbox.read", problem, "remove it, or name less of it")
    for name in find_secret_names(module.set):
        problem = f"the name of {name} says that its value is a secret, which the tool is given"
        remedy = "grant its API: [[api]] with a credential, of which the tool has a placeholder"
        yield Fault(module.source, "env.set", problem, remedy)


def find_secret_names(variables: Mapping[str, str]) -> Iterator[str]:
    """The names of those variables that are called as secrets are, and have a value."""
    return (name for name, value in variables.items() if value and _SECRET.search(name))


def review_narrowing(module: Module, *, source: str, key: str) -> Iterator[Fault]:
    """Find, in the rules by which a profile narrows the module, those that have no effect.

    They stand at `key` of the file `source`.
    """
    rules = module.rules
    if not isinstance(rules, GrammarRules):
        yield from _find_shadowed(source, key, rules.narrowing.rules)
        return
    yield from _find_shadowed(source, key, rules.narrowing.rules)
    for rule in rules.narrowing.rules:
        yield from _find_unmatchable(source, key, rule, rules)


def _review_rules(module: Module) -> Iterator[Fault]:
    rules = module.rules
    if not isinstance(rules, GrammarRules):
        yield from _find_shadowed(module.source, f"{rules.mode}.args", rules.rules.rules)
        return
    for key, listed in (
        (f"{rules.mode}.args", rules.rules.rules),
        ("allow.except", rules.exceptions.rules),
    ):
        yield from _find_shadowed(module.source, key, listed)
        for rule in listed:
            yield from _find_unmatchable(module.source, key, rule, rules)
    if rules.permitted is not None:
        yield from _find_unknown(module.source, "allow.flags", rules.permitted.flags, rules.table)
        for name, permission in rules.permitted.commands.items():
            yield from _find_unknown_command(module.source, name, permission, rules.table)


def _find_shadowed(source: str, key: str, rules: tuple[Rule[Read], ...]) -> Iterator[Fault]:
    earlier: dict[frozenset[str], str] = {}
    sets = {frozenset(part.text for part in rule.parts): rule.text for rule in rules}
    for rule in rules:
        parts = frozenset(part.text for part in rule.parts)
        other = earlier.get(parts)
        if other is None:
            wider = (text for found, text in sets.items() if _implies(parts, found))
            other = next(wider, None)
        earlier[parts] = rule.text
        if other is not None:
            problem = f"the rule {quote(rule.text)} changes nothing beside {quote(other)}"
            yield Fault(source, key, problem, "remove it, or the other one")


def _implies(parts: frozenset[str], wider: frozenset[str]) -> bool:
    """Tell whether whatever has all of `parts` also has all of `wider`, which is another set."""
    if parts == wider:
        return False
    flags = {part.partition("=")[0].removesuffix("!") for part in parts if part.startswith("-")}
    return wider <= parts | flags


def _find_unmatchable(
    source: str, key: str, rule: GrammarRule, rules: GrammarRules
) -> Iterator[Fault]:
    table = rules.table
    for part in rule.parts:
        known = True
        if isinstance(part, FlagPart):
            known = part.pattern is not None or any(
                name in scope.flags.exact for scope in table.scopes() for name in part.names
            )
        elif isinstance(part, CommandPart):
            known = _knows_words(part, table)
        if not known:
            problem = f"the rule {quote(rule.text)} cannot match: {_say_unknown(part.text, table)}"
            yield Fault(source, key, problem, "correct or remove it")


def _knows_words(part: CommandPart, table: OptionTable) -> bool:
    if not table.is_closed:
        return True
    return any(
        scope.key[: len(part.words)] == part.words
        or (len(part.words) == 1 and part.words[0] in scope.key)
        for scope in table.commands.values()
    )


def _find_unknown_command(
    source: str, name: str, permission: Permission, table: OptionTable
) -> Iterator[Fault]:
    key = join_key(("allow", "commands", name))
    if name and table.is_closed and name not in table.commands:
        yield Fault(source, key, _say_unknown(name, table), "correct or remove it")
    else:
        yield from _find_unknown(source, key, permission, table, command=name)


def _find_unknown(
    source: str, key: str, permission: Permission, table: OptionTable, *, command: str = ""
) -> Iterator[Fault]:
    scope = table.root if not command else table.commands.get(command, table.elsewhere)
    if scope is None or scope.is_open:
        return
    for entry in permission.entries:
        name = normalise(entry.partition("=")[0], scope.style)
        if entry != EVERYTHING and name not in scope.flags.exact:
            yield Fault(source, key, _say_unknown(name, table), "correct or remove it")


def _say_unknown(text: str, table: OptionTable) -> str:
    version = f" {table.version}" if table.version else ""
    return f"the option table of {table.tool}{version} does not know {quote(text)} there"
