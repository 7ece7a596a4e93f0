"""What the files of a policy consist of, value by value, and the patterns among the values."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from airlock_daemon.admin.cli.compared_sides import Document, Key, Side
from airlock_daemon.admin.cli.policy_judge import RULES
from airlock_daemon.admin.cli.sampled_operations import Family, Pattern
from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.generation import Generation
from airlock_modules import Module, PlainRules
from airlock_modules.apis import Api

_FAMILIES: Mapping[Key, Family] = {
    ("git", "push"): "place",
    ("git", "fetch"): "place",
    ("git", "refs"): "ref",
    ("git", "protect"): "ref",
    ("git", "push_options"): "option",
    ("ssh", "hosts"): "login",
    ("sign", "emails"): "email",
    ("sign", "authors"): "author",
    ("approve", "require"): "asked",
}
_AWS: Mapping[str, Family] = {
    "allow": "action",
    "deny": "action",
    "regions": "region",
    "buckets": "bucket",
    "roles": "role",
}
_UNNAMED = ("headers", "parameters", "metadata", "hosts", "ports")
_RULE_KEYS = ("rule", "rules", "name", "names")
_MOST_UNCHANGED = 400
"""Patterns of one API that both sides have, and that are sampled."""


class Item(msgspec.Struct, frozen=True):
    """One value in a file, written in TOML's form; `text` is that of a string in an array."""

    role: str
    key: Key
    value: str
    text: str | None = None


def list_documents(side: Side, agent: str) -> tuple[Document, ...]:
    """The files that decide about an agent: its own, then those for all agents."""
    return (*side.documents.get(agent, ()), *side.shared)


def list_items(documents: Iterable[Document]) -> Iterator[Item]:
    """Every value in the files."""
    for document in documents:
        yield from _flatten(document.role, (), document.data)


def _flatten(role: str, key: Key, value: object) -> Iterator[Item]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            # A rule may be a table with its reason.
            if key and name in _RULE_KEYS:
                yield from _flatten(role, key, [inner] if isinstance(inner, str) else inner)
            else:
                yield from _flatten(role, (*key, name), inner)
    elif isinstance(value, list):
        if not value:
            yield Item(role, key, "[]", "")
        for inner in value:
            is_text = isinstance(inner, str)
            yield from (
                [Item(role, key, _spell(inner), inner)] if is_text else _flatten(role, key, inner)
            )
    else:
        yield Item(role, key, _spell(value))


def _spell(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def find_pattern(item: Item, owners: Mapping[str, bool]) -> Pattern | None:
    """What an item is a pattern of; `owners` are modules with APIs, and whether that is AWS."""
    folder, _, file = item.role.partition("/")
    if item.text is not None and folder in ("commands", "modules") and file:
        return _find_in_module(file.removesuffix(".toml"), item.key, item.text)
    if not item.text or item.role != Agent.PROFILE or len(item.key) < 2:
        return None
    table, key = item.key[:-1], item.key[-1]
    owner = ".".join(table)
    if table == ("deny",):
        return Pattern("rule", item.text, key)
    family = _FAMILIES.get(item.key)
    if owners.get(owner):
        family = _AWS.get(key)
        return None if family is None else Pattern(family, item.text)
    if family is None and owner in owners and key not in _UNNAMED:
        return Pattern("operation" if key in RULES else "named", item.text, owner)
    return None if family is None else Pattern(family, item.text)


def is_granting(key: Key) -> bool:
    """Whether a value grants a command, a host or a destination, rather than operations."""
    return key[-1] in ("commands", "enable", "hosts") or key[0] == "network" or key[-1] == "network"


def _find_in_module(name: str, key: Key, text: str) -> Pattern | None:
    match key:
        case ("deny", "args") | ("allow", "args" | "except" | "flags"):
            return Pattern("rule", text, name)
        case ("allow", "commands", under):
            return Pattern("rule", text, name, under)
        case ("api", last) if last in RULES:
            return Pattern("operation", text, name)
    return None


def list_apis(generations: Iterable[Generation | None]) -> tuple[Api, ...]:
    """The APIs of both sides, as each grants them."""
    return tuple(api for each in generations if each is not None for api in each.apis.apis)


def list_modules(generations: Iterable[Generation | None]) -> dict[str, list[Module]]:
    """The modules of the enabled commands, as each side has them."""
    modules: dict[str, list[Module]] = {}
    for each in generations:
        for name, module in ({} if each is None else each.grant.modules).items():
            modules.setdefault(name, []).append(module)
    return modules


def list_effective(generations: Sequence[Generation | None]) -> Iterator[Pattern]:
    """The patterns of modules, which a profile may grant without having them in its own files."""
    old, new = generations
    approve = [None if each is None else each.agent.profile.approve for each in generations]
    asks_alike = approve[0] == approve[1]
    for each, other in ((old, new), (new, old)):
        if each is None:
            continue
        for api in each.apis.apis:
            same = None if other is None else other.apis.find(api.name)
            rules = _list_rules(api)
            if api.aws is not None:
                yield from (Pattern("action", rule) for rule in (*api.aws.allow, *api.aws.deny))
                yield from (Pattern("region", text) for text in api.aws.regions)
            elif not asks_alike or same is None or _list_rules(same) != rules:
                known = set() if same is None else {*_list_rules(same)}
                rules = (*(rule for rule in rules if rule not in known), *rules[:_MOST_UNCHANGED])
                yield from (Pattern("operation", rule, api.module) for rule in rules)
                fields = api.mutations or ()
                yield from (Pattern("operation", f"mutation {name}", api.module) for name in fields)
        granted = each.agent.profile.granted(each.grant.ceiling)
        for name, module in each.grant.modules.items():
            theirs = None if other is None else other.grant.modules.get(name)
            if name in granted and (
                theirs is None
                or theirs.rules != module.rules
                or other is None
                or not other.grant.grants(name)
            ):
                yield from (
                    Pattern("rule", text, name, under) for under, text in _list_arguments(module)
                )


def _list_rules(api: Api) -> tuple[str, ...]:
    return (*api.allow, *api.deny, *api.secret, *api.upgrade)


def _list_arguments(module: Module) -> Iterator[tuple[str, str]]:
    """The rules of a module: subcommand that lists it, and text."""
    rules = module.rules
    if module.broker is None:
        # A request without arguments.
        yield "", ""
    yield from (("", rule.text) for rule in (*rules.rules.rules, *rules.narrowing.rules))
    if isinstance(rules, PlainRules):
        return
    yield from (("", rule.text) for rule in rules.exceptions.rules)
    if rules.permitted is not None:
        for name, permission in rules.permitted.commands.items():
            yield name, ""
            yield from ((name, entry) for entry in permission.entries if entry != "*")
