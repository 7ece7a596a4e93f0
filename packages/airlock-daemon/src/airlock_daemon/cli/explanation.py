"""Why a request would be allowed or refused, for a person on the host."""

from collections.abc import Sequence
from typing import Any

import msgspec

from airlock_daemon.cli.reasons import find_reason
from airlock_modules import (
    Argument,
    Decision,
    Grant,
    Module,
    Parsed,
    builtin_names,
    builtin_security,
    describe_parsed,
    dump_parsed,
    evaluate,
    parse,
    read_arguments,
)
from airlock_wire import encode_text, quote

UNKNOWN_COMMAND = "command"
"""What the evaluator calls a refusal for a subcommand that is not listed."""
JOINTS = (" ", " & ")
"""How a flag of one subcommand is written: as on a command line, or as a rule."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, how the arguments were read for it, and why the rule that decided is there.

    `parsed` is the reading by the module's option table, `plain` that of a module without one;
    both are None where there is no module. `reason` is from the SECURITY.md of the built-in module.
    """

    decision: Decision
    parsed: Parsed | None = None
    plain: tuple[Argument, ...] | None = None
    reason: str | None = None

    def describe(self) -> tuple[str, ...]:
        """Return a line for each thing that was read from the arguments, text of others quoted."""
        if self.parsed is not None:
            return describe_parsed(self.parsed)
        return tuple(
            f"{_describe(argument)} in argument {number}"
            for number, argument in enumerate(self.plain or (), start=1)
        )

    def dump(self) -> dict[str, Any]:
        """Return everything as JSON has it; text that is not UTF-8 as on the wire."""
        decision = {**msgspec.to_builtins(self.decision)}
        del decision["paths"]
        arguments: Any = None
        if self.parsed is not None:
            arguments = dump_parsed(self.parsed)
        elif self.plain is not None:
            arguments = msgspec.to_builtins(self.plain)
        dumped: dict[str, Any] = _encode(
            {"decision": decision, "arguments": arguments, "reason": self.reason}
        )
        return dumped


def explain(grant: Grant, command: str, args: Sequence[str]) -> Explanation:
    """Decide about a request, and say how that came about."""
    decision = evaluate(grant, command, args)
    module = grant.modules.get(command)
    if module is None:
        return Explanation(decision=decision)
    if module.options is None:
        plain = read_arguments(args).arguments
        reason = _look_up(module, decision, None)
        return Explanation(decision=decision, plain=plain, reason=reason)
    parsed = parse(module.options, args)
    reason = _look_up(module, decision, parsed)
    return Explanation(decision=decision, parsed=parsed, reason=reason)


def _look_up(module: Module, decision: Decision, parsed: Parsed | None) -> str | None:
    """Find the reason of the rule that refused.

    An override may use rules of the built-in module of its name, which then have the same reason.
    """
    rule = decision.rule
    if rule is None or decision.layer != "module" or module.name not in builtin_names():
        return None
    names = [rule] if parsed is None else _name_rule(rule, parsed)
    return find_reason(builtin_security(module.name), names)


def _name_rule(rule: str, parsed: Parsed) -> list[str]:
    """Return what a table may call a rule, the name that says most first."""
    command = [" ".join(parsed.command[:length]) for length in range(len(parsed.command), 0, -1)]
    if rule == UNKNOWN_COMMAND:
        return [*command, rule]
    flags = [flag for flag in (*parsed.globals, *parsed.flags) if rule in (flag.name, *flag.names)]
    spellings = dict.fromkeys((rule, *(name for flag in flags for name in flag.names)))
    # The reading has one form for `-name` and `--name` of tools to which both are the same.
    spellings |= dict.fromkeys(f"-{name}" for name in [*spellings] if len(name) > 2)
    values = [value.partition("=")[0] for flag in flags for value in flag.values]
    return [
        *(f"{name} {value}" for value in values for name in spellings),
        *(f"{words}{joint}{name}" for words in command for name in spellings for joint in JOINTS),
        *spellings,
    ]


def _describe(argument: Argument) -> str:
    if argument.flag is None:
        kind = "word, or value of the flag before," if argument.role == "maybe-value" else "word"
        return f"{kind} {quote(argument.raw)}"
    value = "" if argument.value is None else f" with {quote(argument.value)}"
    return f"flag {quote(argument.flag)}{value}"


def _encode(value: Any) -> Any:
    match value:
        case str():
            return encode_text(value)
        case dict():
            return {key: _encode(item) for key, item in value.items()}
        case list() | tuple():
            return [_encode(item) for item in value]
    return value
