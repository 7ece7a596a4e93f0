"""`airlock-daemon test`."""

import functools
import os
import socket
from typing import Annotated

import msgspec
import trio
import typer

from airlock_daemon.cli import options
from airlock_daemon.cli.explanation import Explanation, explain
from airlock_daemon.errors import AirlockError, Denied
from airlock_daemon.setup.load import Setup, load_setup
from airlock_daemon.workspace.mapping import Mounts
from airlock_daemon.workspace.path_arguments import judge_paths
from airlock_modules import Decision, Module, quote
from airlock_wire import NEED_DATA, ClientSession, ErrorResponse, ProtocolError, Request
from airlock_wire import Decision as WireDecision

ANSWER_S = 30
SEEN = "by the profile's mounts, from the top of a workspace; a container's own are not seen here"


def ask(
    context: typer.Context,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="Name of the agent.")],
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="The command to ask about.")],
    args: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ARGS]...", help="Its arguments, as the tool takes them."),
    ] = None,
    config: options.Config = None,
    sockets: options.Sockets = None,
    agents: options.Agents = None,
    json: options.Json = False,
) -> None:
    """Say whether a command would be allowed, and by which layer and rule it is decided.

    Shows how the arguments are read, what each layer says, and for a refusal the rule with the
    reason that the built-in module gives for it. Nothing is run. From the agent's name on every
    word belongs to the command, so that `airlock-daemon test my git push --force` works. The
    running daemon is asked too: an answer that differs is a failure (it was not restarted since the
    files changed), no daemon is a note.

    Ends with 0 when the command is allowed, else with 1.
    """
    chosen = options.merge(context, config=config, sockets=sockets, agents=agents, json=json)
    setup = load_setup(chosen.locations())
    if agent not in setup.generations:
        raise AirlockError(
            f"no agent {agent} is registered", hint="see: airlock-daemon profile list"
        )
    words = tuple(args or ())
    grant = setup.generations[agent].grant
    explanation = explain(grant, command, words)
    refusal = None
    if explanation.decision.paths:
        refusal = _judge_paths(setup, agent, grant.modules[command], words, explanation.decision)
    allowed = explanation.decision.allowed and refusal is None
    path = os.path.join(setup.locations.sockets_dir, f"{agent}.sock")
    answer = _ask_daemon(path, command, words)
    agrees = answer is None or (answer == "allowed") == allowed
    if chosen.json:
        report = explanation.dump()
        report |= {"workspace": _dump(refusal), "daemon": answer, "agrees": agrees}
        typer.echo(msgspec.json.format(msgspec.json.encode(report)))
    else:
        _print(explanation, refusal)
        typer.echo(f"daemon: {answer or 'none is running'}")
        if not agrees:
            typer.echo("the running daemon decides otherwise: restart it", err=True)
    if not allowed or not agrees:
        raise typer.Exit(1)


def _judge_paths(
    setup: Setup, agent: str, module: Module, args: tuple[str, ...], decision: Decision
) -> Denied | None:
    """Ask the workspace step about paths, for a client of which only the profile is known."""
    judge = functools.partial(
        judge_paths,
        args,
        decision.paths,
        table=module.options,
        mounts=Mounts(setup.generations[agent].agent),
        reserved=setup.generations[agent].reserved,
    )
    try:
        trio.run(judge)
    except Denied as refusal:
        return refusal
    return None


def _dump(refusal: Denied | None) -> dict[str, str | None] | None:
    if refusal is None:
        return None
    return {"rule": refusal.rule, "message": refusal.message, "hint": refusal.hint}


def _print(explanation: Explanation, refusal: Denied | None) -> None:
    decision = explanation.decision
    lines = explanation.describe()
    if lines:
        typer.echo("the arguments, as they are read:")
    for line in lines:
        typer.echo(f"  {line}")
    for step in decision.steps:
        typer.echo(f"{step.layer}: {step.verdict}: {step.detail}")
    if decision.paths:
        verdict = f"refused: {refusal.message}" if refusal else "passed: no path leads out"
        typer.echo(f"workspace: {verdict} ({SEEN})")
    if decision.allowed and refusal is None:
        typer.echo("allowed")
        return
    typer.echo(f"denied: {refusal.message if refusal else decision.message}")
    rule = refusal.rule if refusal else decision.rule
    if rule:
        typer.echo(f"rule: {quote(rule, limit=None)}")
    if explanation.reason:
        typer.echo(f"reason: {explanation.reason}")
    hint = refusal.hint if refusal else decision.hint
    if hint:
        typer.echo(f"hint: {hint}")


def _ask_daemon(path: str, command: str, args: tuple[str, ...]) -> str | None:
    """What the daemon at `path` answers: "allowed" or its message; None when there is none."""
    session = ClientSession()
    request = Request(id=1, method="check", command=command, args=args, cwd=None)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_S)
        try:
            connection.connect(path)
        except OSError:
            return None
        try:
            connection.sendall(session.send_request(request))
            while (event := session.next_event()) is NEED_DATA:
                session.receive_data(connection.recv(65536))
        except (OSError, ProtocolError) as error:
            raise AirlockError(
                f"the daemon at {path} gave no answer: {error}", hint="look at its messages"
            ) from error
    if isinstance(event, WireDecision):
        return event.decision
    if isinstance(event, ErrorResponse):
        return event.error.message
    raise AirlockError(f"the daemon at {path} answered a check with something else")
