"""What is decided about a request of which only the words are known, and not the client."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from airlock_daemon.cli.asking import Answer
from airlock_daemon.cli.git_words import GitCall
from airlock_daemon.platform.support import find_missing
from airlock_daemon.setup.boxes import wants_box
from airlock_daemon.setup.generation import Generation
from airlock_modules import Decision, Module
from airlock_modules.operation import Operation
from airlock_wire import encode_text, quote


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules say, and the workspace step as far as it goes without the client.

    `operation` is what a broker would be asked to do, or what would run; None for what is refused
    before that is known. `message`, `rule` and `hint` are those of the refusal, `workspace` or
    `broker` tells what that step says. `undecided` are paths of which the client's directory or
    its container's mounts decide, or a host at which the daemon looks. `is_part` says that more may
    be asked for than is known, `is_past_check` that a daemon that checks does not come to what
    refuses.
    """

    allowed: bool
    operation: Operation | None = None
    message: str = ""
    rule: str | None = None
    hint: str | None = None
    workspace: str | None = None
    broker: str | None = None
    is_workspace_refusal: bool = False
    undecided: tuple[str, ...] = ()
    is_part: bool = False
    is_past_check: bool = False

    def agrees_with(self, answer: Answer) -> bool:
        """Whether a daemon that gives this answer has decided by the same files.

        It knows no more of this client, and refuses what it cannot decide.
        """
        if self.undecided and answer.layer in ("broker", "workspace"):
            return True
        return (answer.message is None) == (self.allowed or self.is_past_check)

    @property
    def is_sure(self) -> bool:
        """Whether nothing more has to be known."""
        return not self.undecided and not self.is_part

    def dump(self) -> dict[str, object]:
        """What the decision of the rules does not have, as JSON has it."""
        refusal = {"rule": self.rule, "message": self.message, "hint": self.hint}
        return {
            "operation": None if self.operation is None else self.operation.line,
            "workspace": refusal if self.is_workspace_refusal else None,
            "broker": self.broker,
            "undecided": [encode_text(path) for path in self.undecided],
        }


def judge(
    generation: Generation,
    decision: Decision,
    command: str,
    args: Sequence[str],
    *,
    call: GitCall | None = None,
) -> Verdict:
    """Add to the `decision` of the rules about `args` what the steps behind them say.

    That is the workspace of the paths, or the broker of where they lead; `call` is the git that
    says them to a remote.
    """
    module = generation.grant.modules.get(command)
    if not decision.allowed or module is None:
        return Verdict(
            allowed=False, message=decision.message, rule=decision.rule, hint=decision.hint
        )
    if module.broker is not None:
        return _judge_broker(module.broker, generation, args, call)
    run = ("run",) if wants_box(module) else ()
    ran = Operation((*run, command, *args))
    found = replace(_judge_workspace(generation, decision, module, args), operation=ran)
    if call is None or module.sandbox is None or "git" not in module.sandbox.brokers:
        return found
    return _add_broker(found, _judge_broker("git", generation, (), call))


def _add_broker(found: Verdict, said: Verdict) -> Verdict:
    """What comes of the two for a command whose box asks a broker, later than a check goes."""
    if not found.allowed:
        return found
    return replace(
        said,
        operation=said.operation or found.operation,
        workspace=found.workspace,
        undecided=(*found.undecided, *said.undecided),
        is_past_check=not said.allowed,
    )


def _judge_workspace(
    generation: Generation, decision: Decision, module: Module, args: Sequence[str]
) -> Verdict:
    if not decision.paths or (wants_box(module) and not module.has_engine):
        needed = f"{module.name} runs in the client's directory, which must be mapped"
        is_needed = module.workspace == "required"
        return Verdict(allowed=True, workspace=f"not known here: {needed}" if is_needed else None)
    paths = tuple(dict.fromkeys(use.path for use in decision.paths))
    if find_missing():
        unable = "a workspace can be looked into on Linux alone"
        return Verdict(allowed=True, workspace=f"not known here: {unable}", undecided=paths)
    # Needs names that only Linux has, and trio.
    from airlock_daemon.cli.known_paths import find_undecided, judge_known  # noqa: PLC0415

    undecided = find_undecided(paths, generation.agent)
    known = [use for use in decision.paths if use.path not in undecided]
    refusal = judge_known(args, known, generation=generation)
    if refusal is not None:
        return Verdict(
            allowed=False,
            message=refusal.message,
            rule=refusal.rule,
            hint=refusal.hint,
            workspace=f"refused: {refusal.message}",
            is_workspace_refusal=True,
        )
    return Verdict(allowed=True, workspace=_say_passed(undecided), undecided=undecided)


def _judge_broker(
    broker: str, generation: Generation, args: Sequence[str], call: GitCall | None
) -> Verdict:
    # Both need trio.
    if broker == "ssh":
        from airlock_daemon.cli.known_hosts import judge_session  # noqa: PLC0415

        return judge_session(generation, args)
    from airlock_daemon.cli.known_remotes import judge_call, judge_words  # noqa: PLC0415

    return judge_words(generation, args) if call is None else judge_call(generation, call)


def _say_passed(undecided: tuple[str, ...]) -> str:
    if not undecided:
        return "passed: no path leads out of what the profile maps, nor up from where it starts"
    shown = ", ".join(map(quote, undecided))
    return f"not known here: the client's directory and its container's mounts decide about {shown}"
