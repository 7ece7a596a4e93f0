"""`airlock-daemon test`."""

import os
import socket
from typing import Annotated

import msgspec
import typer

from airlock_daemon.cli import options
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup import load_setup
from airlock_modules import Decision, evaluate
from airlock_wire import NEED_DATA, ClientSession, ErrorResponse, ProtocolError, Request
from airlock_wire import Decision as WireDecision

ANSWER_S = 30


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

    Nothing is run. From the agent's name on every word belongs to the command, so that
    `airlock-daemon test my git push --force` works. The running daemon is asked too: an answer
    that differs is a failure (it was not restarted since the files changed), no daemon is a note.

    Ends with 0 when the command is allowed, else with 1.
    """
    chosen = options.merge(context, config=config, sockets=sockets, agents=agents, json=json)
    setup = load_setup(chosen.locations())
    if agent not in setup.agents:
        raise AirlockError(
            f"no agent {agent} is registered", hint="see: airlock-daemon profile list"
        )
    words = tuple(args or ())
    decision = evaluate(setup.grant(setup.agents[agent]), command, words)
    path = os.path.join(setup.locations.sockets_dir, f"{agent}.sock")
    answer = _ask_daemon(path, command, words)
    agrees = answer is None or (answer == "allowed") == decision.allowed
    if chosen.json:
        report = {"decision": decision, "daemon": answer, "agrees": agrees}
        typer.echo(msgspec.json.format(msgspec.json.encode(report)))
    else:
        _print(decision)
        typer.echo(f"daemon: {answer or 'none is running'}")
        if not agrees:
            typer.echo("the running daemon decides otherwise: restart it", err=True)
    if not decision.allowed or not agrees:
        raise typer.Exit(1)


def _print(decision: Decision) -> None:
    for step in decision.steps:
        typer.echo(f"{step.layer}: {step.verdict}: {step.detail}")
    if decision.allowed:
        typer.echo("allowed")
        return
    typer.echo(f"denied: {decision.message}")
    if decision.hint:
        typer.echo(f"hint: {decision.hint}")


def _ask_daemon(path: str, command: str, args: tuple[str, ...]) -> str | None:
    """What the daemon at `path` answers: "allowed" or its message; None when there is none."""
    session = ClientSession()
    request = Request(
        id=1, method="check", command=command, args=args, cwd=None, container_id=None, features=()
    )
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
