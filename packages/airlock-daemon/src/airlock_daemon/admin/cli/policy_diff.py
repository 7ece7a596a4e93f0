"""`airlock check --diff`: how two policies decide, and how their files differ.

Each operation is judged on both sides by what judges it for the daemon and for `airlock test`. A
difference of the files that changes none of them is listed too: samples are no proof.
"""

import itertools
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
import typer

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.cli.compared_sides import Key, Side, read_side
from airlock_daemon.admin.cli.described_box import describe_box
from airlock_daemon.admin.cli.output import plain, reporting
from airlock_daemon.admin.cli.policy_items import (
    Item,
    find_pattern,
    is_granting,
    list_apis,
    list_documents,
    list_effective,
    list_items,
    list_modules,
)
from airlock_daemon.admin.cli.policy_judge import Judge, Outcome, State
from airlock_daemon.admin.cli.sampled_operations import Pattern, Question, Sampler
from airlock_daemon.setup.generation import Generation
from airlock_modules.operation import Operation
from airlock_wire import quote

_SHOWN = 4
"""Operations of a group that are shown to a person."""
_NOTHING = "not granted"
_UNSEEN = "differs, and changes none of the sampled operations"
_STATES: Mapping[State, str] = {
    "allowed": "allowed",
    "asked": "asked",
    "depends": "allowed, as far as the files tell",
    "refused": "refused",
}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A difference that is no operation: its name, and both values with where they are."""

    name: str
    before: str
    after: str
    where: str


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """One operation that the two policies decide differently, and where each is decided."""

    operation: str
    before: State
    after: State
    decided_before: str
    decided_after: str


class AgentDiff(msgspec.Struct, frozen=True, kw_only=True):
    """The differences for one agent.

    `grants` are commands, boxes, networks and hooks; `settings` other values of its files; and
    `unseen` patterns that were added or removed, but change no sampled operation.
    """

    grants: tuple[Change, ...]
    operations: tuple[Changed, ...]
    settings: tuple[Change, ...]
    unseen: tuple[Change, ...]
    sampled: int

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.grants or self.operations or self.settings or self.unseen)


def print_diff(application: Application, old: str, new: str) -> None:
    """Print how the policy `new` differs from `old`, each a directory or a revision.

    Exits with 1 if it does, with 2 for a fault.
    """
    with reporting(status=2), tempfile.TemporaryDirectory(prefix="airlock-") as scratch:
        root = os.path.realpath(scratch)
        sides = []
        for wanted, name in ((old, "old"), (new, "new")):
            os.mkdir(os.path.join(root, name), mode=0o700)
            place = os.path.join(root, name)
            sides.append(read_side(wanted, application.locations, place))
        diffs = compare(*sides)
    is_different = any(diffs.values())
    report = {
        "old": sides[0].title,
        "new": sides[1].title,
        "differs": is_different,
        "notes": [*_list_notes(*sides)],
        "agents": {name: msgspec.to_builtins(each) for name, each in diffs.items()},
    }
    application.print(report, _describe(sides, diffs))
    if is_different:
        raise typer.Exit(1)


class _Files:
    """The files of one side that decide about an agent."""

    def __init__(self, side: Side, agent: str) -> None:
        self.documents = {each.role: each for each in list_documents(side, agent)}
        self.items = [*list_items(self.documents.values())]
        self._is_registered = agent in side.generations

    def locate(self, outcome: Outcome) -> str:
        """Where the side decides, as FILE:LINE and the text or key there."""
        if not self._is_registered:
            return "no such agent"
        found = [*filter(None, (self._find_text(text, outcome.keys) for text in outcome.texts))]
        if found or outcome.builtin:
            return ", ".join(found) or outcome.builtin
        for key, document in itertools.product(outcome.keys, self.documents.values()):
            if (line := document.find_line(key)) is not None:
                return f"{document.name}:{line} {'.'.join(key)}"
        name = next(iter(self.documents.values())).name
        return f"{name}: no {'.'.join(outcome.keys[0])}" if outcome.keys else name

    def _find_text(self, text: str, keys: Sequence[Key]) -> str | None:
        """The line with a text, in one of these keys if they have it."""
        having = [item for item in self.items if item.text == text]
        for item in sorted(having, key=lambda item: item.key not in keys):
            if (line := self.find(item.role, item.key, text)) is not None:
                return f"{line} {quote(text)}"
        return None

    def find(self, role: str, key: Key, text: str | None = None) -> str | None:
        """The line of a key, or of a text in its value, as FILE:LINE."""
        document = self.documents.get(role)
        line = None if document is None else document.find_line(key, text)
        return None if document is None or line is None else f"{document.name}:{line}"

    def spell(self, role: str, key: Key) -> str:
        """The values of a key, for a person."""
        values = (each.value for each in self.items if (each.role, each.key) == (role, key))
        return ", ".join(values) or "not set"


def compare(old: Side, new: Side) -> dict[str, AgentDiff]:
    """The differences for each agent of the two sides, in order."""
    names = dict.fromkeys((*old.generations, *new.generations))
    return {name: _compare_agent(name, old, new) for name in names}


def _compare_agent(name: str, old: Side, new: Side) -> AgentDiff:
    sides = (old, new)
    generations = [side.generations.get(name) for side in sides]
    files = [_Files(side, name) for side in sides]
    judges = [Judge(each) for each in generations]
    apis = list_apis(generations)
    before, after = (dict.fromkeys(each.items) for each in files)
    differing = [each for each in (*before, *after) if (each in before) != (each in after)]
    owners = {api.module: api.aws is not None for api in apis}
    patterns = {each: find_pattern(each, owners) for each in (*before, *after)}
    changed = dict.fromkeys(filter(None, (patterns[each] for each in differing)))
    sampler = Sampler(
        (*changed, *filter(None, patterns.values()), *list_effective(generations)),
        changed=changed,
        modules=list_modules(generations),
        apis=apis,
        judges=[each.lets for each in judges],
    )
    asked: dict[Question, tuple[Outcome, Outcome]] = {}
    seen: set[Pattern] = set()
    for pattern in sampler.patterns:
        for question in sampler.sample(pattern):
            if question not in asked:
                asked[question] = (judges[0].judge(question), judges[1].judge(question))
            one, other = asked[question]
            if one.state != other.state:
                seen.add(pattern)
    grants = tuple(_compare_grants(name, sides, files))
    decided = [each for each in asked.items() if each[1][0].state != each[1][1].state]
    return AgentDiff(
        grants=grants,
        operations=tuple(dict.fromkeys(_describe_changed(files, *each) for each in decided)),
        settings=tuple(_compare_settings(files, differing, patterns)),
        unseen=tuple(_list_unseen(files, differing, patterns, seen, grants)),
        sampled=len(asked),
    )


def _describe_changed(
    files: Sequence[_Files], question: Question, outcomes: tuple[Outcome, Outcome]
) -> Changed:
    one, other = outcomes
    operation = one.operation or other.operation or Operation((question.kind, *question.words))
    if question.kind == "git":
        operation = _name_push(question.words, operation)
    elif question.kind == "sign":
        operation = Operation(("sign", "git", *question.words))
    return Changed(
        operation=operation.line,
        before=one.state,
        after=other.state,
        decided_before=files[0].locate(one),
        decided_after=files[1].locate(other),
    )


def _name_push(words: Sequence[str], operation: Operation) -> Operation:
    """The operation of git with what its line leaves out: a deletion, and options."""
    options = [word for word in words if word.startswith("-")]
    deletes = ["--delete"] if words[-1].startswith(":") else []
    shown = tuple(word for word in operation.words if word not in options)
    return Operation((*shown, *deletes, *options))


class _Grant(msgspec.Struct, frozen=True):
    """A grant that is no operation: its value for a person, and what in the files grants it."""

    value: str
    outcome: Outcome


def _list_grants(
    generation: Generation | None, hooks: Mapping[str, str]
) -> Iterator[tuple[str, _Grant]]:
    if generation is None:
        return
    commands: tuple[Key, ...] = (("commands",), ("commands", "enable"))

    def grant(value: str, text: str, *keys: Key) -> _Grant:
        return _Grant(value, Outcome(state="allowed", texts=(text,), keys=(*keys, *commands)))

    for name in generation.agent.profile.granted(generation.grant.ceiling):
        module = generation.grant.modules.get(name)
        if module is None:
            continue
        box = describe_box(module, generation.boxes)
        how = "by a broker" if module.broker else "as an API" if box is None else f"box: {box}"
        yield f"command {name}", grant(f"granted, {how}", name)
        for entry in () if module.sandbox is None else module.sandbox.network:
            reached = grant("reached", entry, ("network", name), ("sandbox", "network"))
            yield f"network of {name}: {entry}", reached
    for entry in generation.apis.network:
        yield f"network of containers: {entry}", grant("reached", entry, ("network", "allow"))
    for api in generation.apis.apis:
        for host in api.hosts:
            own = (*api.module.split(".", 1), "hosts")
            yield f"API {api.name}: {host}", grant("reached", host, own, ("api", "hosts"))
    for name, digest in hooks.items():
        yield f"hook {name}", _Grant(f"sha256 {digest[:12]}", Outcome(state="allowed"))


def _compare_grants(agent: str, sides: Sequence[Side], files: Sequence[_Files]) -> Iterator[Change]:
    old, new = (
        dict(_list_grants(side.generations.get(agent), side.hooks.get(agent, {}))) for side in sides
    )
    for name in dict.fromkeys((*old, *new)):
        before, after = (each[name].value if name in each else _NOTHING for each in (old, new))
        if before != after:
            known, place = (new, files[1]) if name in new else (old, files[0])
            where = place.locate(known[name].outcome)
            yield Change(name=name, before=before, after=after, where=where)
    places = [side.places.get(agent) for side in sides]
    if None not in places and places[0] != places[1]:
        # Whoever can write there decides, whatever it has now.
        yield Change(
            name="directory", before=f"{places[0]}", after=f"{places[1]}", where="the registration"
        )


def _is_setting(item: Item, patterns: Mapping[Item, Pattern | None]) -> bool:
    return patterns[item] is None and not is_granting(item.key)


def _compare_settings(
    files: Sequence[_Files],
    differing: Sequence[Item],
    patterns: Mapping[Item, Pattern | None],
) -> Iterator[Change]:
    old, new = files
    keys = dict.fromkeys((each.role, each.key) for each in differing if _is_setting(each, patterns))
    for role, key in keys:
        yield Change(
            name=".".join(key),
            before=old.spell(role, key),
            after=new.spell(role, key),
            where=new.find(role, key) or old.find(role, key) or role,
        )


def _list_unseen(
    files: Sequence[_Files],
    differing: Sequence[Item],
    patterns: Mapping[Item, Pattern | None],
    seen: set[Pattern],
    grants: Sequence[Change],
) -> Iterator[Change]:
    """What was added or removed, but changes neither a sampled operation nor a grant."""
    old, new = files
    removed = set(old.items)
    granted = {word for each in grants for word in each.name.split()}
    for item in differing:
        pattern = patterns[item]
        is_seen = item.text in granted if pattern is None else pattern in seen
        if is_seen or _is_setting(item, patterns):
            continue
        before, after = (item.value, "removed") if item in removed else ("not there", item.value)
        side = old if item in removed else new
        where = side.find(item.role, item.key, item.text) or side.documents[item.role].name
        yield Change(name=".".join(item.key), before=before, after=after, where=where)
    changed = {each.role for each in differing}
    for role, document in new.documents.items():
        same = role in old.documents and role not in changed
        if same and old.documents[role].data != document.data:
            yield Change(
                name=role,
                before="its values",
                after="the same ones in another order, or another number of times",
                where=document.name,
            )


def _describe(sides: Sequence[Side], diffs: Mapping[str, AgentDiff]) -> Iterator[str]:
    """The differences as lines for a person."""
    for name, side in zip(("old", "new"), sides, strict=True):
        yield f"{name}: {plain(side.title)}"
    for agent, diff in diffs.items():
        if diff:
            yield from ("", f"agent {agent}")
            yield from _describe_changes("grants", diff.grants)
            yield from _describe_operations(diff.operations)
            yield from _describe_changes("settings", diff.settings)
            yield from _describe_changes(_UNSEEN, diff.unseen)
    yield from ("", *map(plain, _list_notes(*sides)))
    count = sum(each.sampled for each in diffs.values())
    changed = sum(len(each.operations) for each in diffs.values())
    if any(diffs.values()):
        yield f"{changed} of {count} sampled operations are decided differently"
    else:
        yield f"no difference, by {count} sampled operations and every value of the files"


def _list_notes(old: Side, new: Side) -> Iterator[str]:
    """What may surprise about two sides that need not differ."""
    agents = [*dict.fromkeys((*old.documents, *new.documents))]
    for agent in agents:
        known = [side.generations.get(agent) for side in (old, new)]
        directories = {each.agent.directory for each in known if each is not None}
        if len(directories) == 1 and None not in known and old.directory != new.directory:
            yield f"agent {agent} is the same in both: {directories.pop()} is a part of neither"
    pairs = dict.fromkeys(
        (one.name, other.name)
        for agent in agents or [""]
        for one in list_documents(old, agent)
        for other in list_documents(new, agent)
        if one.role == other.role and one.data == other.data and one.text != other.text
    )
    for _, name in pairs:
        yield f"{name} differs in comments or layout alone"


def _describe_operations(operations: Iterable[Changed]) -> Iterator[str]:
    groups: dict[tuple[str, State, State], dict[tuple[str, str], list[Changed]]] = {}
    for each in operations:
        key = (each.operation.partition(" ")[0], each.before, each.after)
        decided = (_name_file(each.decided_before), _name_file(each.decided_after))
        groups.setdefault(key, {}).setdefault(decided, []).append(each)
    for (service, one, other), parts in sorted(groups.items()):
        yield f"  {service}: {_STATES[one]} -> {_STATES[other]}"
        for (before, after), found in parts.items():
            # One operation for each rule says more than several for one.
            rules = {(each.decided_before, each.decided_after): each for each in reversed(found)}
            chosen = [each.operation for each in (*reversed(rules.values()), *found)]
            lines = [*dict.fromkeys(chosen)]
            shown = lines if len(lines) == _SHOWN + 1 else lines[:_SHOWN]
            yield from (f"    {line}" for line in shown)
            if len(lines) > len(shown):
                yield f"    and {len(lines) - len(shown)} more"
            yield f"      old: {plain(before)}"
            yield f"      new: {plain(after)}"


def _name_file(decided: str) -> str:
    """Where it is decided, without which of the many rules of a built-in module does."""
    return decided.partition(' "')[0] if decided.startswith("built-in ") else decided


def _describe_changes(title: str, changes: Sequence[Change]) -> Iterator[str]:
    if changes:
        yield f"  {title}"
    for each in changes:
        yield f"    {plain(each.name)}: {plain(each.before)} -> {plain(each.after)}"
        yield f"      {plain(each.where)}"
