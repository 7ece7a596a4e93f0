"""The policy's decision on a request, before its directory is opened."""

import msgspec
from msgspec.structs import replace

from airlock_daemon.errors import AND_RELOAD, Denied, UnknownCommand
from airlock_daemon.setup.remotes import BROKER, grants_git
from airlock_modules import Grant, Module, PathUse, evaluate, find_transport
from airlock_wire import Request, quote


class Allowed(msgspec.Struct, frozen=True):
    """The module that allows a request, and the paths among its arguments."""

    module: Module
    paths: tuple[PathUse, ...]


def hand_over(grant: Grant, command: str, args: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """A command and its arguments; a fetch or push of git by ssh as git-remote, if that is granted.

    So whoever calls ssh for git gets what git itself gets, and nobody passes by the rules for refs.
    """
    if command != "ssh" or not evaluate(grant, BROKER, ("ssh",)).allowed:
        return command, args
    words = find_transport(args)
    return (command, args) if words is None else (BROKER, ("ssh", *words))


def decide(grant: Grant, request: Request) -> Allowed:
    """Ask the evaluator; raises UnknownCommand, or Denied with the layer and rule that refuse."""
    decision = evaluate(grant, request.command, request.args, is_explained=False)
    if decision.allowed:
        return Allowed(grant.modules[request.command], decision.paths)
    if decision.kind == "unknown-command" or decision.layer is None:
        raise UnknownCommand(decision.message, command=request.command, hint=decision.hint)
    raise Denied(decision.message, layer=decision.layer, rule=decision.rule, hint=decision.hint)


def decide_relayed(grant: Grant, request: Request, commands: tuple[str, ...]) -> Allowed:
    """The same for a request over a relay, by which no more than `commands` may be asked for.

    The profile must grant git or git-remote. Where it grants git alone, the rules of git-remote
    hold all the same.
    """
    allowed = None
    if request.command in commands:
        # A reload may have taken it away from a box that runs.
        if not grants_git(grant):
            raise Denied(
                "what runs in this box may not use git's remotes: the profile of this agent grants "
                f"neither git nor {BROKER}",
                layer="profile",
                rule="commands",
                hint=f'a person on the host can add "{BROKER}" to commands in its airlock.toml'
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
