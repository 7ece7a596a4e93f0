"""What the policy says of a request, before anybody looks at where it would run."""

import msgspec

from airlock_daemon.errors import Denied, UnknownCommand
from airlock_modules import Grant, Module, PathUse, evaluate
from airlock_wire import Request


class Allowed(msgspec.Struct, frozen=True):
    """The module that allows a request, and the paths among its arguments."""

    module: Module
    paths: tuple[PathUse, ...]


def decide(grant: Grant, request: Request) -> Allowed:
    """Ask the evaluator; raises UnknownCommand, or Denied with the layer and rule that refuse."""
    decision = evaluate(grant, request.command, request.args)
    if decision.allowed:
        return Allowed(grant.modules[request.command], decision.paths)
    if decision.kind == "unknown-command" or decision.layer is None:
        raise UnknownCommand(decision.message, hint=decision.hint)
    raise Denied(decision.message, layer=decision.layer, rule=decision.rule, hint=decision.hint)
