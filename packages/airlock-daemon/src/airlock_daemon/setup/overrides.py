"""What an override of a built-in module loses, as notes of `check`.

An override replaces the built-in's rules, environment and arguments in full, so a short one that
allows one more thing also drops all of the built-in's protections.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from airlock_modules import (
    Fault,
    GrammarRules,
    Module,
    builtin_names,
    load_builtin,
)
from airlock_wire import quote

# The names that fit a line; `airlock show` prints them all.
_SHOWN = 3
_MAX_NAME = 60
_PLAIN = re.compile(r"[A-Za-z0-9_.,=@+ -]+")


def find_losses(
    folders: Iterable[Mapping[str, Module]], enable: Collection[str]
) -> Iterator[Fault]:
    """Compare each override of an enabled command with the built-in module of that name.

    `folders` map commands to the modules of `modules/` and of each agent's `commands/`.
    """
    known = builtin_names()
    for folder in folders:
        for name, override in folder.items():
            if name in known and name in enable:
                yield from compare(override, load_builtin(name))


def compare(override: Module, builtin: Module) -> Iterator[Fault]:
    """Yield one note for each kind of entry that `builtin` has and `override` lacks."""
    name, show = builtin.name, f"airlock show {builtin.name}"
    if isinstance(builtin.rules, GrammarRules) and not isinstance(override.rules, GrammarRules):
        paths = "" if builtin.wants_box else " and finds paths to hold in the workspace"
        yield Fault(
            override.source,
            "syntax",
            f"lacks the option table of the built-in {name}",
            f'add [syntax] options = "{name}", which sees joined and abbreviated flags{paths}',
        )
    if builtin.broker is not None and override.broker is None:
        yield Fault(
            override.source,
            "command",
            f"runs a program in the workspace; the built-in {name} is a broker of the daemon",
            f'write broker = "{builtin.broker}" in place of bin, so that the profile binds it',
        )
    for problem in _compare_permitted(override, builtin):
        yield Fault(override.source, "allow", problem, f"list what it needs, as {show} does")
    for key, verb, noun, mine, all_of_them in _list(override, builtin):
        missing = [each for each in all_of_them if each not in mine]
        if missing:
            problem = _say_missing(missing, f"the built-in {name} {verb}", noun, len(all_of_them))
            remedy = f"add what it should keep ({_show_some(missing)}) from {show}"
            yield Fault(override.source, key, problem, remedy)
    if builtin.workspace == "required" and override.workspace != "required":
        problem = f"the built-in {name} runs in a mapped directory only, this override anywhere"
        yield Fault(override.source, "exec.workspace", problem, 'add [exec] workspace = "required"')


def _list(
    override: Module, builtin: Module
) -> tuple[tuple[str, str, str, Sequence[str], Sequence[str]], ...]:
    """Key, verb, noun, and the entries of the override and of the built-in."""
    refusing = "allow.except" if override.rules.mode == "allow" else "deny.args"
    return (
        (refusing, "refuses by", "rule", _refusing(override), _refusing(builtin)),
        # A variable that a module sets cannot come from elsewhere.
        ("env.strip", "strips", "variable", (*override.strip, *override.set), builtin.strip),
        ("env.set", "sets", "variable", _settings(override), _settings(builtin)),
        ("env.inherit", "inherits", "variable", override.inherit, builtin.inherit),
        ("env.forward", "forwards", "variable", override.forward, builtin.forward),
        ("args.prepend", "prepends", "argument", override.prepend, builtin.prepend),
        ("args.append", "appends", "argument", override.append, builtin.append),
    )


def _refusing(module: Module) -> list[str]:
    """The texts of the rules that refuse, in either form of a module."""
    rules = module.rules
    if rules.mode == "deny":
        return [rule.text for rule in rules.rules.rules]
    return [rule.text for rule in rules.exceptions.rules] if isinstance(rules, GrammarRules) else []


def _settings(module: Module) -> list[str]:
    return [f"{name}={value}" for name, value in module.set.items()]


def _compare_permitted(override: Module, builtin: Module) -> Iterator[str]:
    """Yield what the override allows and the built-in does not list."""
    listed = _permitted(builtin)
    if listed is None:
        return
    name = f"the built-in {builtin.name}"
    if override.rules.mode == "deny":
        yield (f"allows all that its rules do not refuse; {name} allows {len(listed)} subcommands")
        return
    mine = _permitted(override) or {}
    commands = [command for command in mine if command not in listed]
    flags = [
        f"{command} {flag}".strip()
        for command, entries in mine.items()
        for flag in entries
        if command in listed and not {flag, "*"} & set(listed[command])
    ]
    for noun, more in (("subcommand", commands), ("flag", flags)):
        if more:
            shown, plural = _show_some(more), "" if len(more) == 1 else "s"
            yield f"allows {len(more)} {noun}{plural} more than {name}: {shown}"


def _permitted(module: Module) -> dict[str, tuple[str, ...]] | None:
    """The allowed flags by subcommand, "" for global ones; None for a module without a list."""
    rules = module.rules
    if not isinstance(rules, GrammarRules) or rules.permitted is None:
        return None
    listed = {command: each.entries for command, each in rules.permitted.commands.items()}
    for globs, each in rules.permitted.patterns:
        listed[" ".join(glob.text for glob in globs)] = each.entries
    listed[""] = (*listed.get("", ()), *rules.permitted.flags.entries)
    return listed


def _say_missing(missing: Sequence[str], does: str, noun: str, total: int) -> str:
    counted = f"{total} {noun}{'' if total == 1 else 's'}"
    lacking = "has none" if len(missing) == total else f"lacks {len(missing)}"
    return f"{does} {counted}, this override {lacking} of them"


def _show_some(texts: Sequence[str]) -> str:
    shown = [
        text if _PLAIN.fullmatch(text) and len(text) <= _MAX_NAME else quote(text, limit=_MAX_NAME)
        for text in texts[:_SHOWN]
    ]
    return ", ".join((*shown, "...") if len(texts) > _SHOWN else shown)
