"""`airlock test`."""

import os
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from airlock_daemon.admin.cli.application import Application, pass_obj
from airlock_daemon.admin.cli.output import print_message
from airlock_daemon.admin.cli.verdict import Answer, Verdict, describe_box, judge, resolve
from airlock_daemon.admin.listening import connect
from airlock_daemon.errors import LOOK_AT_MESSAGES, AirlockError
from airlock_modules import GIT_REMOTE, Decision, describe_reading, dump_reading, evaluate
from airlock_wire import (
    NEED_DATA,
    ClientSession,
    ErrorResponse,
    ProtocolError,
    Request,
    encode_text,
    quote,
)
from airlock_wire import Decision as Allowed

if TYPE_CHECKING:
    from airlock_daemon.admin.cli.known_apis import ApiVerdict

ANSWER_S = 30
# What a person may ask about, in place of the words of git-sign.
_KINDS = (("commit",), ("tag",))

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("test", context_settings={"allow_interspersed_args": False})
@pass_obj
def ask(
    application: Application,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="Name of the agent.")],
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="The command to ask about.")],
    args: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGS", help="Its arguments, as the tool takes them."),
    ] = None,
) -> None:
    """Show whether a command would be allowed, and what decides it.

    Prints how the arguments are parsed and what each layer decides; for a refusal the rule and its
    reason, else the box of the command. Nothing is run. Every word after the agent's name belongs
    to the command, so `airlock test my git push --force` works.

    The client's directory and the mounts of its container are unknown here. Paths that depend on
    them are named and not refused, and so are hosts that the profile does not name, whose address
    the daemon looks up. Nor is known what a tool of the host will send to APIs or a docker engine:
    that is judged when it comes. The running daemon is asked too: a different answer is a failure,
    since it has not reloaded the files; no daemon is a note.

    What a broker would do or a box would run is shown as the operation that the log has. For `git
    push URL REF` and the like, that says which repositories and refs are granted. For an API, give
    a method and a path or URL, or a GraphQL mutation: `airlock test my gh POST
    /repos/acme/app/pulls`, `airlock test my gh graphql mutation NAME`. A path alone is judged for
    each host of the API. For AWS, give an operation, a region (default: the first of the profile),
    and a bucket or role: `airlock test my aws s3:GetObject eu-west-1 BUCKET/KEY`. For a signature,
    give the kind and the addresses, the committer's first: `airlock test my git-sign commit
    agent@acme.com`. These need neither a credential nor the running daemon. Other words are
    arguments of the host's own tool, if the module has a command.

    Exits with 0 if the command is allowed, as far as can be told, else with 1.
    """
    setup, generation = application.load_agent(agent)
    words = tuple(args or ())
    if generation.apis:
        from airlock_daemon.admin.cli import known_apis  # noqa: PLC0415 - of agents that have some

        found = known_apis.find_operation(generation, command, words)
        if found is not None:
            application.print(found.dump(), _describe_api(found))
            if found.judged.refusal is not None:
                raise typer.Exit(1)
            return
    command, words, call = resolve(generation, command, words)
    is_own_git = call is not None and command == GIT_REMOTE
    decision = evaluate(generation.grant, command, words)
    verdict = judge(generation, decision, command, words, call=call)
    path = os.path.join(setup.locations.sockets_dir, f"{agent}.sock")
    is_asked = not is_own_git or bool(words)
    module = generation.grant.modules.get(command)
    is_object = module is not None and module.broker == "sign" and words[:1] in _KINDS
    # Of a signature the daemon checks everything but the commit or tag.
    asked = ("ssh",) if is_object else words
    answer = ask_daemon(path, command, asked) if is_asked else None
    said = _say(answer, verdict) if is_asked else "not asked, without the address of a remote"
    box = None
    if verdict.allowed and module is not None:
        box = describe_box(module, generation.boxes)
    agrees = answer is None or verdict.agrees_with(answer)
    report = dump_decision(decision) | verdict.dump()
    report |= {
        "sandbox": box,
        "daemon": None if answer is None else answer.message or "allowed",
        "agrees": agrees,
        "registration": setup.locations.agents,
    }
    application.print(report, (*_describe(decision, verdict, box), f"daemon: {said}"))
    if not agrees and not application.json:
        print_message("the running daemon decides otherwise", "hint: airlock reload")
    if not verdict.allowed or not agrees:
        raise typer.Exit(1)


def ask_daemon(path: str, command: str, args: tuple[str, ...]) -> Answer | None:
    """The answer of the daemon at the socket `path` to a check; None if there is none.

    Raises AirlockError for an answer that is no decision.
    """
    session = ClientSession()
    request = Request(id=1, method="check", command=command, args=args, cwd=None)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_S)
        try:
            if not connect(connection, path):
                return None
            connection.sendall(session.send_request(request))
            while (event := session.next_event()) is NEED_DATA:
                session.receive_data(connection.recv(65536))
        except (OSError, ProtocolError) as error:
            raise AirlockError(
                f"the daemon at {path} gave no answer: {quote(str(error))}",
                hint=LOOK_AT_MESSAGES,
            ) from error
    if isinstance(event, Allowed):
        return Answer()
    if isinstance(event, ErrorResponse):
        data = event.error.data
        return Answer(event.error.message, data.layer if data else None)
    raise AirlockError(
        f"the daemon at {path} answered a check with something else", hint=LOOK_AT_MESSAGES
    )


def dump_decision(decision: Decision) -> dict[str, Any]:
    """A decision as JSON data, with the parsed arguments, and the reason for its rule.

    `arguments` is None if no module was evaluated. Text that is not UTF-8 is as on the wire.
    """
    reading = decision.reading
    fields = ("allowed", "kind", "layer", "rule", "message", "hint", "steps")
    decided = {name: getattr(decision, name) for name in fields}
    dumped: dict[str, Any] = _encode(
        {
            "decision": msgspec.to_builtins(decided | {"hint": decision.hint or None}),
            "arguments": None if reading is None else dump_reading(reading),
            "reason": decision.reason,
        }
    )
    return dumped


def _encode(value: Any) -> Any:
    match value:
        case str():
            return encode_text(value)
        case dict():
            return {key: _encode(item) for key, item in value.items()}
        case list() | tuple():
            return [_encode(item) for item in value]
    return value


def _describe_api(verdict: "ApiVerdict") -> Iterator[str]:
    """The decision on an API operation as lines."""
    judged = verdict.judged
    yield from (f"{step.layer}: {step.verdict}: {step.detail}" for step in verdict.steps)
    yield f"operation: {verdict.operation.line}"
    if judged.refusal is None:
        yield "allowed" if verdict.asked is None else _tell_asked(verdict.asked)
    else:
        yield f"denied: {judged.refusal}"
    if judged.refusal is not None and judged.hint:
        yield f"hint: {judged.hint}"
    yield "daemon: not asked: it judges requests to APIs when they come"


def _describe(decision: Decision, verdict: Verdict, box: str | None) -> Iterator[str]:
    lines = () if decision.reading is None else tuple(describe_reading(decision.reading))
    if lines:
        yield "the arguments, as they are read:"
    yield from (f"  {line}" for line in lines)
    yield from (f"{step.layer}: {step.verdict}: {step.detail}" for step in decision.steps)
    told = {
        "operation": verdict.operation and verdict.operation.line,
        "workspace": verdict.workspace,
        "sandbox": box,
        "broker": verdict.broker,
    }
    yield from (f"{name}: {text}" for name, text in told.items() if text)
    if verdict.allowed and verdict.asked is not None:
        yield _tell_asked(verdict.asked)
        return
    if verdict.allowed:
        yield "allowed" if verdict.is_sure else "allowed, as far as can be told without the client"
        return
    yield f"denied: {verdict.message}"
    if verdict.rule:
        yield f"rule: {quote(verdict.rule, limit=None)}"
    if verdict.hint:
        yield f"hint: {verdict.hint}"


def _tell_asked(pattern: str) -> str:
    return f"asked: a person has to approve it, by [approve] require = {quote(pattern, limit=None)}"


def _say(answer: Answer | None, verdict: Verdict) -> str:
    """The daemon's answer, quoted: another program may have taken its socket."""
    if answer is None:
        return "none is running"
    if answer.message is None:
        return "its check does not go that far" if verdict.is_past_check else "allowed"
    if answer.message == verdict.message:
        return "denied in the same words"
    return f"denied: {quote(answer.message, limit=None)}"
