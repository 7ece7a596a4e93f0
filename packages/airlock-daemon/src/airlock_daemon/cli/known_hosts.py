"""What is decided about a session of ssh without asking the host's ssh."""

from collections.abc import Sequence

from airlock_daemon.brokers.ssh.session import find_granted, name_operation, read_words
from airlock_daemon.cli.verdict import Verdict
from airlock_daemon.errors import Denied
from airlock_daemon.setup.generation import Generation
from airlock_modules import Query


def judge_session(generation: Generation, args: Sequence[str]) -> Verdict:
    """Judge the words of ssh, and where they lead.

    A host that the profile does not name by its name is looked up by the daemon: it is undecided.
    """
    operation = None
    try:
        asked = read_words(tuple(args))
        operation = name_operation(asked)
        line = None if isinstance(asked, Query) else find_granted(asked, generation)
    except Denied as refusal:
        return Verdict(
            allowed=False,
            operation=operation,
            message=refusal.message,
            rule=refusal.rule,
            hint=refusal.hint,
            broker=f"refused: {refusal.message}",
        )
    if isinstance(asked, Query):
        return Verdict(allowed=True, operation=operation, broker="passed: it leads nowhere")
    if line is not None and line.name is not None:
        said = f'passed: [ssh] hosts has "{line.text}"'
        return Verdict(allowed=True, operation=operation, broker=said)
    login = str(asked.login)
    why = "no hosts are named" if line is None else f'"{line.text}" is a pattern'
    return Verdict(
        allowed=True,
        operation=operation,
        broker=f"not known here: {why}, so that the daemon looks at the address of {login}"
        + (", and for it in known_hosts" if line is None else ""),
        undecided=(login,),
    )
