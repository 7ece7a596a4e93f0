"""The control socket, by which the daemon's user answers questions: its path and its messages.

It lies in the state directory, which no container, box or workspace contains. Each connection
carries one request, a line of JSON, and its answers, each a line of JSON.
"""

import hashlib
import os

import msgspec

from airlock_daemon.setup.state import State

MAX_LENGTH = 65_536
"""The most bytes of a request."""

_FOLDER = "control"


class ShownQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """An open question as a person sees it; all texts are printable.

    `client` is who asked first. `operation` is the whole line. `details` are pairs of a label and
    lines. An approval names `digest`, which is that of all of these, and `waiting`, the number of
    requests. `age_s` and `left_s` are the seconds since it was asked and until it is refused.
    `may_last` says that it can be approved for a duration.
    """

    id: str
    agent: str
    client: str
    operation: str
    details: tuple[tuple[str, tuple[str, ...]], ...]
    digest: str
    waiting: int
    pattern: str
    note: str
    age_s: float
    left_s: float
    may_last: bool


class ListQuestions(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Asks for the open questions; with `follows`, again after each change.

    With `answers` an approval is about to name one of them. `waiting` is then at most the number
    that a person was shown before, one if none was.
    """

    follows: bool = False
    answers: bool = False


class Approve(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Approves a question as it was shown, for `for_s` seconds or else once."""

    id: str
    digest: str
    waiting: int
    for_s: float | None = None


class Reject(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Rejects a question; the agent is told the reason."""

    id: str
    reason: str = ""


class Questions(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The open questions, the oldest first."""

    questions: tuple[ShownQuestion, ...]


class Answered(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The question was answered. `others` is the number of requests that wait on."""

    id: str
    others: int = 0


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The request is refused, and nothing was changed."""

    message: str
    hint: str


ToDaemon = ListQuestions | Approve | Reject
ToPerson = Questions | Answered | Refused


def locate_control(state: State, sockets_dir: str) -> str:
    """The path of the socket of the daemon that serves `sockets_dir`.

    Daemons with the same state directory serve different sockets directories.
    """
    name = hashlib.sha256(os.fsencode(os.path.realpath(sockets_dir))).hexdigest()[:16]
    return state.path(f"{_FOLDER}/{name}.sock")
