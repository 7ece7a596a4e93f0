"""The audit records of one request."""

import os
import time

from msgspec.structs import replace

from airlock_daemon.boundary.audit_text import ARGUMENTS, shorten, shorten_all
from airlock_daemon.serving.audit.record import (
    ASKED_BYTES,
    Kind,
    Outcome,
    Record,
    shorten_asked,
    shorten_id,
)
from airlock_daemon.serving.request.state import DaemonState
from airlock_daemon.serving.session import Session
from airlock_wire import Request

RECORDS = 1000
"""The most broker records of one command; others are counted."""


class Recording:
    """Takes the facts of a request as they become known, and writes them once.

    A request may end at any await, so a step notes a fact before its next one. Nothing is decided
    by what is noted: a step that needs a fact gets it from the step that found it out.
    """

    def __init__(
        self, shared: DaemonState, session: Session, request: Request, profile: str
    ) -> None:
        """`profile` is the agent's name."""
        is_run = request.method == "exec"
        self._shared = shared
        self._session = session
        self._started = time.monotonic()
        self._record = Record(
            event="exec" if is_run else "check",
            request=os.urandom(8).hex(),
            id=shorten_id(request.id),
            profile=profile,
            command=shorten(request.command),
            args=shorten_all(request.args),
            cwd=None if request.cwd is None else shorten(request.cwd),
        )
        self._left = RECORDS
        self._is_output_seen = is_run
        self.is_written = False

    @property
    def request(self) -> str | None:
        """The log's id of the request."""
        return self._record.request

    def note(self, **facts: object) -> None:
        """Add facts."""
        self._record = replace(self._record, **facts)

    def note_rewritten(self, asked: Request, request: Request) -> None:
        """Record that a hook replaced the client's request, `asked`, by `request`."""
        short = shorten_asked(asked.command, asked.args, asked.cwd)
        self.note(
            asked=short,
            command=shorten(request.command),
            args=shorten_all(request.args, limit=ARGUMENTS - ASKED_BYTES),
            cwd=None if request.cwd is None else shorten(request.cwd),
        )

    def begin(self, *, sandbox: str, is_output_seen: bool) -> None:
        """Record the start before it happens; raises Failed if the command must not start then.

        `is_output_seen` says whether its output passes through the session.
        """
        self._record = replace(self._record, sandbox=sandbox)
        self._write_start()
        self._is_output_seen = is_output_seen

    def _write_start(self) -> None:
        self._shared.record(replace(self._record, event="exec-start"), is_ahead=True)

    def write_broker(
        self, outcome: Outcome, detail: object, *, rule: str | None, reason: str | None
    ) -> None:
        """Record a broker's action for this request; `detail` must be under half a line."""
        about = Record(
            event="broker",
            request=self._record.request,
            profile=self._record.profile,
            command=self._record.command,
            outcome=outcome,
            layer=None if rule is None else "broker",
            rule=rule,
            reason=None if reason is None else shorten(reason),
            detail=detail,
            approval=self._record.approval,
        )
        self._shared.record(about)

    def write_conversation(
        self, outcome: Outcome, detail: object, *, rule: str | None, reason: str | None
    ) -> None:
        """As `write_broker` for one of many connections: those past RECORDS are only counted."""
        if self._is_room(outcome, None if rule is None else "broker"):
            Recording.write_broker(self, outcome, detail, rule=rule, reason=reason)

    def spend_record(self) -> bool:
        """Whether another broker record may be written; counts it."""
        self._left -= 1
        return self._left >= 0

    def _is_room(self, outcome: Outcome, layer: str | None) -> bool:
        """Whether another record may be written; if not, it is counted in the ledger."""
        if self.spend_record():
            return True
        agent = self._record.profile
        if agent is not None:
            self._shared.audit.count(agent, Kind("broker", outcome, layer), self._record.peer)
        return False

    def write(self, outcome: Outcome, reason: str | None = None, **facts: object) -> None:
        """Write the record with its outcome and further facts, unless already written."""
        if self.is_written:
            return
        self.is_written = True
        self._record = replace(
            self._record,
            outcome=outcome,
            reason=None if reason is None else shorten(reason),
            duration_ms=round((time.monotonic() - self._started) * 1000, 3),
            bytes_out=self._session.bytes_out if self._is_output_seen else None,
            **facts,
        )
        self._shared.record(self._record)
