"""The policy's decision on a request, before its directory is opened."""

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from airlock_daemon.errors import AND_RELOAD, Denied, UnknownCommand
from airlock_modules import GIT_REMOTE, Grant, Module, evaluate
from airlock_wire import Request, quote

if TYPE_CHECKING:
    from airlock_modules import PathUse


class Allowed(msgspec.Struct, frozen=True):
    """The module that allows a request, and the paths in its arguments."""

    module: Module
    paths: "tuple[PathUse, ...]"


def hand_over(grant: Grant, command: str, args: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return command and arguments; git's fetch or push over ssh becomes git-remote, if granted."""
    if command != "ssh" or not evaluate(grant, GIT_REMOTE, ("ssh",)).allowed:
        return command, args
    from airlock_modules import find_transport  # noqa: PLC0415 - loads ssh's arguments

    words = find_transport(args)
    return (command, args) if words is None else (GIT_REMOTE, ("ssh", *words))


def decide(grant: Grant, request: Request) -> Allowed:
    """Evaluate a request; raises UnknownCommand, or Denied with the refusing layer and rule."""
    decision = evaluate(grant, request.command, request.args, is_explained=False)
    if decision.allowed:
        return Allowed(grant.modules[request.command], decision.paths)
    if decision.kind == "unknown-command" or decision.layer is None:
        raise UnknownCommand(decision.message, command=request.command, hint=decision.hint)
    raise Denied(decision.message, layer=decision.layer, rule=decision.rule, hint=decision.hint)


def decide_relayed(grant: Grant, request: Request, commands: tuple[str, ...]) -> Allowed:
    """As `decide`, for a request over a relay, which accepts `commands` only.

    The profile must grant them; for git-remote git does. The rules of git-remote apply even if only
    git is granted.
    """
    allowed = None
    if request.command in commands:
        # A reload may have revoked it while the box runs.
        if not grant.grants_relayed(request.command):
            if request.command != GIT_REMOTE:
                # The evaluator refuses it by the profile.
                return decide(grant, request)
            raise Denied(
                "what runs in this box may not use git's remotes: the profile of this agent grants "
                f"neither git nor {GIT_REMOTE}",
                layer="profile",
                rule="commands",
                hint=f'a person on the host can add "{GIT_REMOTE}" to commands in its airlock.toml'
                f"{AND_RELOAD}",
            )
        allowed = decide(replace(grant, commands=commands), request)
    if allowed is None or allowed.module.broker is None:
        raise Denied(
            f"{quote(request.command, limit=80)} is refused: what runs in a box on the host may "
            f"ask for {' and '.join(commands)} alone",
            layer="sandbox",
            rule="brokers",
            hint="run it in the container, as a command of its own",
        )
    return allowed
