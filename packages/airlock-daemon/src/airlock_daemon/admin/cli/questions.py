"""`airlock pending`, `approve` and `reject`: the open questions of the running daemon.

It is asked about them over the control socket.
"""

import os
import re
import socket
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
import typer

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.cli.output import ignoring_closed_stdout, print_message
from airlock_daemon.admin.listening import connect
from airlock_daemon.errors import LOOK_AT_MESSAGES, AirlockError
from airlock_daemon.platform.system import find_missing
from airlock_daemon.setup import answering
from airlock_wire import quote

# Lines of a detail in a list; a question by its id is shown whole.
_FEW = 12
_WIDE = 400
_LONG = 4000
# Columns of a terminal that does not tell its own, and the fewest for a piece of a text.
_COLUMNS = 80
_LEAST = 8


@contextmanager
def asking(
    application: Application, request: answering.ToDaemon
) -> Iterator[Iterator[answering.ToPerson]]:
    """Send a request to the daemon; the block gets its replies.

    Raises AirlockError if no daemon of this configuration asks anything, or it refuses.
    """
    if find_missing():
        raise AirlockError(
            "no daemon runs here: serving needs Linux or macOS",
            hint="answer on the host where it runs",
        )
    from airlock_daemon.platform.system import peer_credentials  # noqa: PLC0415
    from airlock_daemon.setup.status import DaemonStatus  # noqa: PLC0415

    locations = application.locations
    published = DaemonStatus.find_published(locations.sockets_dir)
    if published is None or published.status.config_dir != os.path.realpath(locations.config_dir):
        raise AirlockError(
            f"no daemon of this user serves {locations.sockets_dir} by {locations.config_file}",
            hint="name its --config and --sockets, or start one: airlock start",
        )
    path = answering.locate_control(application.locate_state(), locations.sockets_dir)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        if not connect(connection, path):
            raise AirlockError(
                "the running daemon asks nothing: no profile requires approvals",
                hint='write [approve] require = ["git push"] into an airlock.toml, and run: '
                "airlock reload",
            )
        if peer_credentials(connection).pid != published.pid:
            raise AirlockError(
                f"another process than the daemon listens on {path}",
                hint="stop it, and start the daemon again",
            )
        connection.sendall(msgspec.json.encode(request) + b"\n")
        with connection.makefile("rb") as file:
            yield _read(iter(file.readline, b""))


def _read(lines: Iterator[bytes]) -> Iterator[answering.ToPerson]:
    is_answered = False
    for line in lines:
        is_answered = True
        try:
            reply = msgspec.json.decode(line, type=answering.ToPerson)
        except msgspec.MsgspecError as error:
            raise AirlockError(
                f"the daemon's answer cannot be read: {error}",
                hint="use the airlock of the same release as the daemon",
            ) from error
        if isinstance(reply, answering.Refused):
            raise AirlockError(reply.message, hint=reply.hint)
        yield reply
    if not is_answered:
        raise AirlockError("the daemon closed the control socket", hint=LOOK_AT_MESSAGES)


def find_question(
    application: Application, wanted: str, *, answers: bool = False
) -> answering.ShownQuestion:
    """The open question with this id, in any case; `answers` is as in ListQuestions.

    Raises AirlockError.
    """
    with asking(application, answering.ListQuestions(answers=answers)) as replies:
        reply = next(replies)
    questions = reply.questions if isinstance(reply, answering.Questions) else ()
    for question in questions:
        if question.id == wanted.upper():
            return question
    raise AirlockError(
        f"no question {quote(wanted, limit=40)} waits for an answer",
        hint="it was answered, or its time is over; see: airlock pending",
    )


def describe_question(question: answering.ShownQuestion, *, is_whole: bool) -> Iterator[str]:
    """A question as lines: the operation first, then all that the answer is bound to.

    Texts of the client are indented, so that none can pass for a line of Airlock's. On a terminal
    they are folded here, since it would continue a long line in its first column.
    """
    width = _find_width()

    def show(start: str, text: str, limit: int) -> Iterator[str]:
        seen = text if is_whole else text[:limit]
        yield from _fold(start, seen, width)
        if len(seen) < len(text):
            more = len(text) - len(seen)
            yield f"      ({more} more characters: airlock pending {question.id})"

    yield from show(f"{question.id}  {question.agent}  ", question.operation, _LONG)
    for label, lines in question.details:
        yield from _fold("    ", f"{label}:", width)
        shown = lines if is_whole else lines[:_FEW]
        for line in shown:
            yield from show("      | ", line, _WIDE)
        if len(lines) > len(shown):
            more = len(lines) - len(shown)
            yield f"      ({more} more lines: airlock pending {question.id})"
    if question.note:
        yield from _fold("    ", f"note: {question.note}", width)
    pattern = quote(question.pattern, limit=None)
    asked = f"asked {_tell(question.age_s)} ago by {question.client}"
    yield from _fold("    ", f"{asked}, as [approve] has {pattern}", width)
    waits = "nobody waits any more, and the next try takes the answer"
    if question.waiting:
        waits = f"{question.waiting} requests wait" if question.waiting > 1 else "1 request waits"
    yield from _fold("    ", f"{waits}; refused in {_tell(question.left_s)}", width)


def _find_width() -> int | None:
    """The columns of the terminal that stdout is, or None."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _COLUMNS
    except OSError:
        return None


def _fold(start: str, text: str, width: int | None) -> Iterator[str]:
    """A line of a text, folded to `width` columns; a continuation begins with blanks and a plus."""
    line, left = start, float("inf") if width is None else max(width - len(start), _LEAST)
    for char in text:
        # Too much for some terminals, and enough for all.
        cells = 2 if unicodedata.east_asian_width(char) in "WFA" else 1
        if cells > left and width is not None:
            yield line
            line = "      + "
            left = max(width - len(line), _LEAST)
        line += char
        left -= cells
    yield line


def _tell(seconds: float) -> str:
    whole = max(0, round(seconds))
    return f"{whole} s" if whole < 120 else f"{whole // 60} min"


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


def reject(
    application: Application,
    wanted: Annotated[str, typer.Argument(metavar="ID", help="The question's id.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="What the agent is told.")
    ] = "",
) -> None:
    """Refuse an operation that waits for a person.

    The agent is told so, with the reason: git prints it as the remote's words. Equal operations are
    refused for 15 minutes without asking you again.

    \b
        airlock reject K7M2PQ --reason "wait for the release"
    """
    with asking(application, answering.Reject(id=wanted.upper(), reason=reason)) as replies:
        next(replies)
    application.print({"rejected": wanted.upper()}, [f"rejected: {wanted.upper()}"])


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
