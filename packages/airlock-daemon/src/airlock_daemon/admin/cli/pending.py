"""`airlock pending`."""

from typing import Annotated

import msgspec
import typer

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.cli.output import ignoring_closed_stdout
from airlock_daemon.admin.cli.questions import asking, describe_question, find_question
from airlock_daemon.setup import answering


def pending(
    application: Application,
    wanted: Annotated[
        str | None, typer.Argument(metavar="ID", help="Show this question alone, and whole.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print each new question until Ctrl-C.")
    ] = False,
) -> None:
    """List the questions that wait for a person.

    An agent's [approve] require names the operations that need your word, by patterns. Each
    question has an id, the agent, and the whole operation: of a push both commits of each ref, of
    a request to an API its body. Nothing else is approved with it: another value is another
    question.

    \b
        airlock pending --follow
        airlock approve K7M2PQ
        airlock reject K7M2PQ --reason "wait for the release"

    With --json it prints {"questions": [...]}, with --follow a question a line.
    """
    if wanted is not None:
        question = find_question(application, wanted)
        application.print(question, describe_question(question, is_whole=True))
        return
    seen = set[str]()
    with (
        ignoring_closed_stdout(),
        asking(application, answering.ListQuestions(follows=follow)) as replies,
    ):
        for reply in replies:
            if not isinstance(reply, answering.Questions):
                continue
            if not follow:
                application.print(reply, _list(reply.questions))
                return
            for question in reply.questions:
                if question.id not in seen:
                    _print_new(application, question)
            open_ids = {question.id for question in reply.questions}
            if not application.json:
                for gone in sorted(seen - open_ids):
                    print(f"{gone}  was answered, or its time is over", flush=True)
            seen = open_ids


def _list(questions: tuple[answering.ShownQuestion, ...]) -> list[str]:
    if not questions:
        return ["nothing waits for an answer"]
    return [line for each in questions for line in describe_question(each, is_whole=False)]


def _print_new(application: Application, question: answering.ShownQuestion) -> None:
    if application.json:
        print(msgspec.json.encode(question).decode(), flush=True)
        return
    for line in describe_question(question, is_whole=False):
        print(line)
    print(f"    airlock approve {question.id}", flush=True)
