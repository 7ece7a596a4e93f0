"""The one evaluator: may this agent run this command with these arguments?

It checks ceiling, module, profile, box and rules, in this order, and stops at the first refusal.
Running, testing and explaining a command all call it, so they cannot differ. The result depends
only on the grant and the request; the work is linear in the arguments.

A `Decision` carries the parsed arguments; `reading.description` presents them.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from airlock_modules.files.builtins import GIT_REMOTE
from airlock_modules.files.module_file import Module
from airlock_modules.files.toml_reader import is_name
from airlock_wire.text import quote

if TYPE_CHECKING:
    from airlock_modules.reading.parsed import Parsed, PathUse, PlainReading


class Grant(Struct, frozen=True, kw_only=True):
    """The commands granted to one agent.

    `ceiling` is the host's `[commands] enable`, `commands` the profile's list (empty means
    everything within the ceiling). `modules` maps each command to its active module, narrowed by
    the profile's own deny rules.
    """

    ceiling: tuple[str, ...]
    commands: tuple[str, ...] = ()
    modules: Mapping[str, Module]

    def grants(self, command: str) -> bool:
        """Whether the host enables a command and the profile grants it."""
        return command in self.ceiling and (not self.commands or command in self.commands)

    def grants_git(self) -> bool:
        """Whether an agent may use git's remotes at all, through git or git-remote."""
        return self.grants("git") or self.grants(GIT_REMOTE)

    def grants_relayed(self, command: str) -> bool:
        """Whether an agent is granted what its boxes may request as `command`."""
        return self.grants_git() if command == GIT_REMOTE else self.grants(command)


class Step(Struct, frozen=True):
    """One layer's verdict and the reason for it, for people on the host."""

    layer: str
    verdict: str
    detail: str


class Decision(Struct, frozen=True, kw_only=True):
    """The answer to one request.

    `message` and `hint` go to the client: they quote its input (see `quote`), name no host path,
    and suggest no other spelling. `rule` is the text of the deciding rule, `reason` the module's
    reason for it, if any; the message ends with it. `steps` are for people on the host. `reading`
    has the parsed arguments, None if they were not parsed.
    """

    allowed: bool
    layer: Literal["profile", "module", "sandbox"] | None = None
    rule: str | None = None
    reason: str | None = None
    message: str = ""
    hint: str = ""
    steps: tuple[Step, ...] = ()
    reading: "Parsed | PlainReading | None" = None

    @property
    def kind(self) -> Literal["allowed", "denied", "unknown-command"]:
        """What it is to the client: no layer refuses an unknown command."""
        if self.allowed:
            return "allowed"
        return "unknown-command" if self.layer is None else "denied"

    @property
    def paths(self) -> "tuple[PathUse, ...]":
        """The paths that an allowed request names; access to them is checked elsewhere."""
        return () if not self.allowed or self.reading is None else self.reading.paths


# A running daemon applies a changed file only after a reload.
_THEN = ", and run: airlock reload"

# The directory of modules shared by all agents; an agent's own are in its commands/.
_SHARED = "modules"


def evaluate(
    grant: Grant, command: str, args: Sequence[str], *, is_explained: bool = True
) -> Decision:
    """Judge one request. Accepts any strings, surrogates included; raises nothing.

    Without `is_explained` the steps for the ceiling, module and profile that passed are omitted,
    and the arguments are not parsed for a module that refuses none.
    """
    if command not in grant.ceiling:
        return _refuse_unknown(grant, command)
    name, steps = command, tuple[Step, ...]()
    if is_explained:
        steps = (Step("ceiling", "passed", f"[commands] enable lists {name}"),)
    module = grant.modules.get(command)
    if module is None:
        return _refuse_without_module(name, steps)
    if is_explained:
        steps += (Step("module", "found", module.source),)
    if grant.commands and command not in grant.commands:
        return _refuse_by_profile(name, steps)
    if is_explained:
        granted = "commands is empty, so all is granted"
        if grant.commands:
            granted = f"commands lists {name}"
        steps += (Step("profile", "passed", granted),)
    if not module.bin:
        return _refuse_without_command(name, steps)
    if module.sandbox is None and module.lacks_box:
        return _refuse_without_box(name, module, steps)
    return _apply_rules(name, module, args, steps)


def _refuse_unknown(grant: Grant, command: str) -> Decision:
    name = command if is_name(command) else quote(command)
    if name == command:
        advice = f'a person on the host can add "{name}" to [commands] enable in config.toml'
        if grant.commands and command not in grant.commands:
            advice += ", and to commands in the airlock.toml of this agent"
        advice += _THEN
    else:
        advice = "a command is a name of at most 64 letters, digits and . _ -, not a path"
    return Decision(
        allowed=False,
        message=f"unknown command: {name} (not enabled on the host)",
        hint=advice,
        steps=(Step("ceiling", "refused", f"[commands] enable does not list {name}"),),
    )


def _refuse_without_module(name: str, steps: tuple[Step, ...]) -> Decision:
    return Decision(
        allowed=False,
        message=f"unknown command: {name} (enabled on the host, but no module describes it)",
        hint=f"a person on the host can write commands/{name}.toml of this agent{_THEN}",
        steps=(*steps, Step("module", "refused", f"no built-in and no commands/{name}.toml")),
    )


def _refuse_by_profile(name: str, steps: tuple[Step, ...]) -> Decision:
    return Decision(
        allowed=False,
        layer="profile",
        rule="commands",
        message=f"{name} is refused: the profile of this agent does not grant it",
        hint=f'a person on the host can add "{name}" to commands in its airlock.toml{_THEN}',
        steps=(*steps, Step("profile", "refused", f"commands does not list {name}")),
    )


def _refuse_without_command(name: str, steps: tuple[Step, ...]) -> Decision:
    return Decision(
        allowed=False,
        layer="module",
        rule="no-command",
        message=f"{name} is refused: the host grants its API, and runs no command for it",
        hint=f"use the container's own {name}, which reaches the API through the proxy that "
        "airlock run sets (HTTPS_PROXY)",
        steps=(*steps, Step("module", "refused", "the module has no [command], but an [[api]]")),
    )


def _refuse_without_box(name: str, module: Module, steps: tuple[Step, ...]) -> Decision:
    return Decision(
        allowed=False,
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
    if module.own_rules is None and not steps:
        return Decision(allowed=True)
    verdict = module.rules.judge(args)
    if verdict.allowed:
        return Decision(
            allowed=True,
            rule=verdict.rule,
            reason=verdict.reason,
            steps=(*steps, Step("rules", "passed", verdict.detail)),
            reading=verdict.reading,
        )
    layer: Literal["profile", "module"] = "module"
    asked = "rules"
    if verdict.is_narrowing:
        layer = asked = "profile"
        steps += (Step("rules", "passed", "the module allows it"),)
    return Decision(
        allowed=False,
        layer=layer,
        rule=verdict.rule,
        reason=verdict.reason,
        message=f"{name} {verdict.problem}",
        hint=_advise(name, module, layer),
        steps=(*steps, Step(asked, "refused", verdict.detail)),
        reading=verdict.reading,
    )


def _advise(name: str, module: Module, layer: str) -> str:
    if layer == "profile":
        return f"a person on the host can change [deny] {name} in this agent's airlock.toml{_THEN}"
    if module.builtin:
        return (
            f"a person on the host can give this agent rules of its own in commands/{name}.toml "
            f"(airlock show {name} prints those it has){_THEN}"
        )
    from airlock_modules.rules.rule import PlainRules  # noqa: PLC0415

    table = f"[{module.rules.mode}]"
    if isinstance(module.rules, PlainRules) or module.rules.permitted is None:
        table += " args"
    return f"a person on the host can change {table} in {_name_file(name, module)}{_THEN}"


def _name_file(name: str, module: Module) -> str:
    if PurePath(module.source).parent.name == _SHARED:
        return f"{_SHARED}/{name}.toml, which is for all agents"
    return f"commands/{name}.toml of this agent"
