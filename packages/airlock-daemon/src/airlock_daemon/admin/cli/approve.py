"""`airlock approve`."""

import re
from typing import Annotated

import typer

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.cli.output import print_message
from airlock_daemon.admin.cli.questions import asking, describe_question, find_question
from airlock_daemon.setup import answering

_DURATION = re.compile(r"([0-9]{1,6})([smh])")
_UNITS = {"s": 1, "m": 60, "h": 3600}


def approve(
    application: Application,
    wanted: Annotated[str, typer.Argument(metavar="ID", help="The question's id.")],
    duration: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="DURATION",
            help="Approve equal operations for as long, such as 10m: the same value, or the same "
            "refs of a push.",
        ),
    ] = None,
) -> None:
    """Let through an operation that waits for a person.

    Prints the whole operation, and approves exactly that: the ids of a push, the body of a
    request. It lets through as many equal requests as you were shown, one if you have not looked.
    If none waits any more, the next equal one within 15 minutes takes the answer. The log says who
    has answered.

    \b
        airlock approve K7M2PQ
        airlock approve K7M2PQ --for 10m
    """
    for_s = None if duration is None else _read_duration(duration)
    question = find_question(application, wanted, answers=True)
    request = answering.Approve(
        id=question.id, digest=question.digest, waiting=question.waiting, for_s=for_s
    )
    with asking(application, request) as replies:
        reply = next(replies)
    report = {"approved": question.id, "agent": question.agent, "operation": question.operation}
    lasts = "" if duration is None else f" for {duration}"
    lines = [*describe_question(question, is_whole=True), f"approved{lasts}: {question.id}"]
    application.print(report, lines)
    if isinstance(reply, answering.Answered) and reply.others:
        print_message(
            f"{reply.others} more came meanwhile, and wait as a new question: airlock pending"
        )


def _read_duration(text: str) -> float:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise typer.BadParameter("write a number and s, m or h, such as 10m", param_hint="--for")
    return int(found[1]) * _UNITS[found[2]]
