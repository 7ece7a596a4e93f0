"""The one evaluator: may this agent run this command with these arguments?

It asks in the order ceiling, module, profile, box, rules, and the first refusal ends it. Running a
command, checking one and explaining one all come here, so that they cannot differ. Nothing is
looked at but the grant and the request, and the work grows linearly with the arguments.
"""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Literal

from airlock_modules.decision import Decision, Grant, Step
from airlock_modules.files.module_file import Module
from airlock_modules.names import is_name
from airlock_modules.rules.judgement import PlainRules, judge
from airlock_wire.text import quote

# A running daemon knows of a change to a file once it has read it.
_THEN = ", and run: airlock-daemon reload"

# The directory of modules that hold for all agents; those of one alone are in its commands/.
_SHARED = "modules"


def evaluate(grant: Grant, command: str, args: Sequence[str]) -> Decision:
    """Decide about one request. Any strings will do, surrogates included; nothing is raised."""
    name = command if is_name(command) else quote(command)
    if command not in grant.ceiling:
        return _refuse_unknown(name, command)
    steps: tuple[Step, ...] = (Step("ceiling", "passed", f"[commands] enable lists {name}"),)
    module = grant.modules.get(command)
    if module is None:
        return _refuse_without_module(name, steps)
    steps += (Step("module", "found", module.source),)
    if grant.commands and command not in grant.commands:
        return _refuse_by_profile(name, steps)
    reason = f"commands lists {name}" if grant.commands else "commands is empty, so all is granted"
    steps += (Step("profile", "passed", reason),)
    if not module.has_command:
        return _refuse_without_command(name, steps)
    if module.lacks_box:
        return _refuse_without_box(name, module, steps)
    return _apply_rules(name, module, args, steps)


def _refuse_unknown(name: str, command: str) -> Decision:
    if is_name(command):
        hint = f'a person on the host can add "{name}" to [commands] enable in config.toml{_THEN}'
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
        hint=f"a person on the host can write commands/{name}.toml of this agent{_THEN}",
        steps=(*steps, Step("module", "refused", f"no built-in and no commands/{name}.toml")),
    )


def _refuse_by_profile(name: str, steps: tuple[Step, ...]) -> Decision:
    return Decision(
        allowed=False,
        kind="denied",
        layer="profile",
        rule="commands",
        message=f"{name} is refused: the profile of this agent does not grant it",
        hint=f'a person on the host can add "{name}" to commands in its airlock.toml{_THEN}',
        steps=(*steps, Step("profile", "refused", f"commands does not list {name}")),
    )


def _refuse_without_command(name: str, steps: tuple[Step, ...]) -> Decision:
    return Decision(
        allowed=False,
        kind="denied",
        layer="module",
        rule="no-command",
        message=f"{name} is refused: the host grants its API, and runs no command for it",
        hint=f"use the container's own {name}, which reaches the API through the proxy that "
        "airlock-daemon run sets (HTTPS_PROXY)",
        steps=(*steps, Step("module", "refused", "the module has no [command], but an [[api]]")),
    )


def _refuse_without_box(name: str, module: Module, steps: tuple[Step, ...]) -> Decision:
    return Decision(
        allowed=False,
        kind="denied",
        layer="sandbox",
        rule="no-box-named",
        message=f"{name} is refused: its module names no box to run it in",
        hint=f"a person on the host can add a table [sandbox] to {_name_file(name, module)}: "
        'box = "closed" shows it the workspace and no credential; box = "home" lets it read and '
        f"send away every credential in that person's home{_THEN}",
        steps=(*steps, Step("sandbox", "refused", "the module names no [sandbox] box")),
    )


def _apply_rules(
    name: str, module: Module, args: Sequence[str], steps: tuple[Step, ...]
) -> Decision:
    verdict = judge(module.rules, args)
    layer: Literal["profile", "module"] = "module"
    asked = "rules"
    if verdict.is_narrowing:
        layer = asked = "profile"
        steps += (Step("rules", "passed", "the module allows it"),)
    step = Step(asked, "passed" if verdict.allowed else "refused", verdict.detail)
    return Decision(
        allowed=verdict.allowed,
        kind="allowed" if verdict.allowed else "denied",
        layer=None if verdict.allowed else layer,
        rule=verdict.rule,
        reason=verdict.reason,
        message="" if verdict.allowed else f"{name} {verdict.problem}",
        hint=None if verdict.allowed else _advise(name, module, layer),
        steps=(*steps, step),
        reading=verdict.reading,
    )


def _advise(name: str, module: Module, layer: str) -> str:
    if layer == "profile":
        return f"a person on the host can change [deny] {name} in this agent's airlock.toml{_THEN}"
    if module.builtin and module.broker is not None:
        # Which refuses it as well, whatever other rules allow.
        return (
            "leave it out; what a host needs beside that, a person on the host can write for it "
            "into ~/.ssh/config there"
        )
    if module.builtin:
        return (
            f"a person on the host can give this agent rules of its own in commands/{name}.toml "
            f"(airlock-daemon show {name} prints those it has){_THEN}"
        )
    table = f"[{module.rules.mode}]"
    if isinstance(module.rules, PlainRules) or module.rules.permitted is None:
        table += " args"
    return f"a person on the host can change {table} in {_name_file(name, module)}{_THEN}"


def _name_file(name: str, module: Module) -> str:
    if PurePath(module.source).parent.name == _SHARED:
        return f"{_SHARED}/{name}.toml, which is for all agents"
    return f"commands/{name}.toml of this agent"
