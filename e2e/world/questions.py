"""The questions of a daemon that wait for a person, and the person's answers."""

import json
import time
from collections.abc import Callable
from typing import Any

from .command import Completed
from .errors import PATIENCE_S

_TICK_S = 0.1

Question = dict[str, Any]


class Questions:
    """What `pending`, `approve` and `reject` do, each by `run` with its words."""

    def __init__(self, run: Callable[..., Completed]) -> None:
        self._run = run

    def list_open(self) -> list[Question]:
        """Return the open questions, the oldest first."""
        said = self._run("pending", "--json").succeeded().stdout
        found: list[Question] = json.loads(said)["questions"]
        return found

    def wait_for(self, count: int = 1) -> list[Question]:
        """Return the open questions once there are `count`."""
        until = time.monotonic() + PATIENCE_S
        while len(found := self.list_open()) < count:
            assert time.monotonic() < until, f"{count} questions were awaited, and {found} are open"
            time.sleep(_TICK_S)
        return found

    def approve(self, question: Question, *options: str) -> None:
        """Approve a question."""
        self._run("approve", question["id"], *options).succeeded()

    def reject(self, question: Question, reason: str) -> None:
        """Reject a question."""
        self._run("reject", question["id"], "--reason", reason).succeeded()


def read_detail(question: Question, label: str) -> str:
    """Return the text of a detail of a question."""
    return "\n".join(next(lines for name, lines in question["details"] if name == label))
