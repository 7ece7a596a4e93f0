"""Asks the running daemon about its open questions, over the control socket."""

import os
import socket
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.listening import connect
from airlock_daemon.errors import LOOK_AT_MESSAGES, AirlockError
from airlock_daemon.platform.system import find_missing
from airlock_daemon.setup import answering
from airlock_daemon.setup.config import locate_state
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
    path = answering.locate_control(locate_state(locations), locations.sockets_dir)
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
