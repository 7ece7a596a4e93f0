"""The one evaluator: may this agent run this command with these arguments?

It asks in the order ceiling, module, profile, rules, and the first refusal ends it. Running a
command, checking one and explaining one all come here, so that they cannot differ. Nothing is
looked at but the grant and the request, and the work grows linearly with the arguments.
"""

from collections.abc import Sequence

from airlock_modules.decision import Decision, Grant, Step
from airlock_modules.files.module_file import Module
from airlock_modules.names import is_name
from airlock_modules.quoting import quote
from airlock_modules.reading.grammar import parse
from airlock_modules.reading.plain import Argument, Reading, read_arguments
from airlock_modules.rules.judgement import GrammarRules, judge
from airlock_modules.rules.plain_rules import FlagPattern, Rule, Rules


def evaluate(grant: Grant, command: str, args: Sequence[str]) -> Decision:
    """Decide about one request. Any strings will do, surrogates included; nothing is raised."""
    name = command if is_name(command) else quote(command)
    if command not in grant.ceiling:
        return _refuse_unknown(name, command)
    steps: tuple[Step, ...] = (Step("ceiling", "passed", f"[commands] enable lists {name}"),)
    module = grant.modules.get(command)
    if module is None:
        return _refuse_without_module(name, steps)
    kind = "built-in module" if module.builtin else "module of this agent"
    steps += (Step("module", "found", f"{kind}: {module.source}"),)
    if grant.commands and command not in grant.commands:
        return _refuse_by_profile(name, steps)
    reason = f"commands lists {name}" if grant.commands else "commands is empty, so all is granted"
    steps += (Step("profile", "passed", reason),)
    if isinstance(module.rules, Rules):
        return _apply_rules(name, module, module.rules, read_arguments(args), steps)
    return _apply_grammar(name, module, module.rules, args, steps)


def _refuse_unknown(name: str, command: str) -> Decision:
    if is_name(command):
        hint = f'a person on the host can add "{name}" to [commands] enable in config.toml'
    else:
        hint = "a command is a name of at most 64 letters, digits and . _ -, not a path"
    return Decision(
        allowed=False,
        kind="unknown-command",
        message=f"unknown command: {name} (not enabled on the host)",
        hint=hint,
        steps=(Step("ceiling", "refused", f"[commands] enable does not list {name}"),),
    )


def _refuse_without_module(name: str, steps: tuple[Step, ...]) -> Decision:
    return Decision(
        allowed=False,
        kind="unknown-command",
        message=f"unknown command: {name} (enabled on the host, but no module describes it)",
        hint=f"a person on the host can write commands/{name}.toml in this agent's directory",
        steps=(*steps, Step("module", "refused", f"no built-in and no commands/{name}.toml")),
    )


def _refuse_by_profile(name: str, steps: tuple[Step, ...]) -> Decision:
    return Decision(
        allowed=False,
        kind="denied",
        layer="profile",
        rule="commands",
        message=f"{name} is refused: the profile of this agent does not grant it",
        hint=f'a person on the host can add "{name}" to commands in this agent\'s airlock.toml',
        steps=(*steps, Step("profile", "refused", f"commands does not list {name}")),
    )


def _apply_grammar(
    name: str, module: Module, rules: GrammarRules, args: Sequence[str], steps: tuple[Step, ...]
) -> Decision:
    parsed = parse(rules.table, args)
    verdict = judge(rules, parsed)
    step = Step("rules", "passed" if verdict.allowed else "refused", verdict.detail)
    if verdict.allowed:
        return Decision(
            allowed=True,
            kind="allowed",
            rule=verdict.rule,
            steps=(*steps, step),
            paths=parsed.paths,
        )
    return Decision(
        allowed=False,
        kind="denied",
        layer="module",
        rule=verdict.rule,
        message=f"{name} {verdict.problem}",
        hint=_advise(name, module),
        steps=(*steps, step),
    )


def _apply_rules(
    name: str, module: Module, rules: Rules, reading: Reading, steps: tuple[Step, ...]
) -> Decision:
    found = rules.find(reading)
    if rules.mode == "deny":
        if found is None:
            step = Step("rules", "passed", "no deny rule matches")
            return Decision(allowed=True, kind="allowed", steps=(*steps, step))
        rule, places = found
        shown = _show_matched(rule, places, reading)
        return Decision(
            allowed=False,
            kind="denied",
            layer="module",
            rule=rule.text,
            message=f"{name} with {shown} is refused by the rule {quote(rule.text)} of its module",
            hint=_advise(name, module),
            steps=(*steps, Step("rules", "refused", f"deny {quote(rule.text)} matches {shown}")),
        )
    if found is not None:
        rule, places = found
        shown = _show_matched(rule, places, reading)
        step = Step("rules", "passed", f"allow {quote(rule.text)} matches {shown}")
        return Decision(allowed=True, kind="allowed", rule=rule.text, steps=(*steps, step))
    shown = _show_start(reading)
    return Decision(
        allowed=False,
        kind="denied",
        layer="module",
        message=f"{name} {shown} is refused: no rule of its module allows it",
        hint=_advise(name, module),
        steps=(*steps, Step("rules", "refused", "no allow rule matches")),
    )


def _advise(name: str, module: Module) -> str:
    if module.builtin:
        return (
            f"a person on the host can give this agent rules of its own in commands/{name}.toml "
            f"(airlock-daemon show {name} prints those it has)"
        )
    table = f"[{module.rules.mode}]"
    if isinstance(module.rules, Rules) or module.rules.permitted is None:
        table += " args"
    return f"a person on the host can change {table} in commands/{name}.toml of this agent"


def _show_matched(rule: Rule, places: tuple[int, ...], reading: Reading) -> str:
    shown = []
    for part, place in zip(rule.parts, places, strict=True):
        argument = reading.arguments[place]
        text = quote(argument.raw)
        if isinstance(part, FlagPattern) and _takes_next(part, argument):
            text += f" {quote(reading.arguments[place + 1].raw)}"
        shown.append(text)
    return ", ".join(shown)


def _takes_next(part: FlagPattern, argument: Argument) -> bool:
    return argument.flag == part.flag and argument.value is None


def _show_start(reading: Reading) -> str:
    if not reading.arguments:
        return "without arguments"
    more = " ..." if len(reading.arguments) > 3 else ""
    return "with " + " ".join(quote(each.raw) for each in reading.arguments[:3]) + more
