"""API requests in the daemon: decided, given their credential, and recorded."""

import base64
import os
from typing import ClassVar

import msgspec
import trio
from msgspec.structs import replace

from airlock_daemon.boundary.approval.questions import ApprovalRequest, Rejected
from airlock_daemon.boundary.audit_text import shorten
from airlock_daemon.boundary.brokers.https.messages import (
    Answer,
    Finished,
    Question,
    Refusal,
    Refused,
    Spent,
    Spliced,
)
from airlock_daemon.errors import AND_RELOAD, AirlockError, Denied, own_fault
from airlock_daemon.serving.audit.record import Kind, Outcome, Record
from airlock_daemon.serving.request.sources import Secret, Sources
from airlock_daemon.serving.request.state import AgentState, Caller, DaemonState, RecordQuota, log
from airlock_modules.apis import Api, ApiCall
from airlock_modules.operation import Operation

_FORBIDDEN, _FAULT = 403, 500
_HTTPS = 443

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class _Operation(msgspec.Struct, frozen=True):
    """A recorded operation; `changes` says that it may do more than read."""

    record: Record
    changes: bool = False


class _Granted(msgspec.Struct, frozen=True):
    """An operation in progress: its question without the GraphQL, and the API that granted it."""

    operation: _Operation
    question: Question
    api: Api

    def is_granted_by(self, api: Api | None) -> bool:
        """Whether the present API has the same service and credential, and grants the operation."""
        if api is None or api == self.api:
            return api is not None
        if self.question.graphql is not None:
            # The GraphQL fields were not kept, as they may be large; such an operation is short.
            return False
        before = (self.api.hosts, self.api.ports, self.api.ca, self.api.credential)
        is_same = before == (api.hosts, api.ports, api.ca, api.credential)
        return is_same and api.judge(_read_call(self.question)).refusal is None


class Operations:
    """An agent's API operations through the HTTPS broker."""

    HUNG_UP: ClassVar[str] = "the client hung up"
    """Why an operation was aborted."""

    def __init__(self, shared: DaemonState, agent: AgentState, sources: Sources) -> None:
        self._shared = shared
        self._agent = agent
        self._sources = sources
        # Granted operations that have not ended.
        self._granted: dict[int, _Granted] = {}
        self._fingerprints: dict[str, tuple[Api, str]] = {}
        self._quota = RecordQuota()

    async def judge(self, question: Question, caller: Caller, body: bytes = b"") -> Answer:
        """Decide on a request by the present rules, and fetch its credential if it needs one.

        If a person has to approve it, this waits for a while; `body` is that of a question with
        content, without which the answer wants it. Every error refuses. A granted operation is
        recorded before it starts, and ends with `finish` or `abort`.
        """
        operation = self._describe(question, caller)
        generation = self._agent.generation
        try:
            api = self._admit(question)
            if self._must_ask(question, api):
                if question.content is None:
                    return Answer(question=question.question, wants_content=True)
                operation = await self._await_approval(question, api, body, operation)
            secret = await self._sources.get(self._agent, api) if question.needs_secret else None
            if self._agent.generation is not generation:
                # The files were reloaded meanwhile.
                api = self._admit(question)
                if operation.record.approval is None and self._must_ask(question, api):
                    raise Denied(
                        "a person has to approve it since the rules were reloaded",
                        layer="profile",
                        rule="approve",
                        hint="send the request again, and wait for the answer",
                    )
            return self._grant(question, operation, api, secret)
        except trio.Cancelled:
            self._write(operation, "aborted", self.HUNG_UP)
            raise
        except Exception as error:  # noqa: BLE001 - fail closed, whatever it is
            record = operation.record
            if isinstance(error, Rejected):
                record = self._shared.approvals.note_rejection(record, error)
            answer = self._refuse(question.question, record, error)
        await self._agent.gate.pace.wait()
        return answer

    def judge_now(self, question: Question, caller: Caller) -> Answer | None:
        """As `judge` if it grants the request without waiting; otherwise None."""
        try:
            api = self._admit(question)
            if self._must_ask(question, api):
                return None
            secret = self._sources.find(self._agent, api) if question.needs_secret else None
            if question.needs_secret and secret is None:
                return None
            return self._grant(question, self._describe(question, caller), api, secret)
        except Exception:  # noqa: BLE001 - `judge` meets it again, and refuses
            return None

    def _grant(
        self, question: Question, operation: _Operation, api: Api, secret: Secret | None
    ) -> Answer:
        """Record a granted operation before it starts. Raises Failed."""
        if operation.changes or self._quota.has_room:
            self._shared.record(replace(operation.record, event="broker-start"), is_ahead=True)
        kept = replace(question, graphql=None if question.graphql is None else ())
        self._granted[question.question] = _Granted(operation, kept, api)
        if secret is None:
            return Answer(question=question.question)
        return Answer(
            question=question.question,
            secret=secret.value,
            certificate=secret.certificate,
            version=secret.version,
        )

    def refuse(self, question: Question, caller: Caller, error: AirlockError) -> Answer:
        """Refuse a request without evaluating it."""
        return self._refuse(question.question, self._describe(question, caller).record, error)

    def find_revoked(self, *, is_removed: bool) -> list[int]:
        """The questions in progress that the present rules refuse; all of them if `is_removed`."""
        return [each for each in self._granted if self.is_revoked(each, is_removed=is_removed)]

    def is_revoked(self, question: int, *, is_removed: bool) -> bool:
        """Whether a question is in progress and the present rules refuse it."""
        granted = self._granted.get(question)
        if granted is None:
            return False
        return is_removed or not granted.is_granted_by(self._find_api(granted.api.name))

    def finish(self, finished: Finished) -> None:
        """Record the end of a granted operation."""
        granted = self._granted.pop(finished.question, None)
        if granted is None:
            return
        operation = granted.operation
        done: dict[str, object] = {
            "status": finished.status,
            "bytes": finished.sent,
            "received": finished.received,
        }
        if finished.dropped:
            done["dropped"] = shorten(", ".join(finished.dropped))
        detail = {**_detail(operation.record), **done}
        record = replace(operation.record, detail=detail, duration_ms=finished.duration_ms)
        outcome: Outcome = "allowed" if finished.fault is None else "failed"
        self._write(replace(operation, record=record), outcome, finished.fault)

    def abort(self, question: int, reason: str) -> None:
        """Record that a granted operation was cut short; does nothing if it has ended."""
        granted = self._granted.pop(question, None)
        if granted is not None:
            self._write(granted.operation, "aborted", reason)

    def note_refused(self, refused: Refused, caller: Caller) -> None:
        """Record a refusal by the worker."""
        words = (refused.method, refused.path) if refused.method else ()
        record = self._begin(f"{refused.host}:{refused.port}", *words, caller=caller)
        record = replace(record, layer="broker", rule=refused.rule)
        self._write_connection(_Operation(record), "denied", refused.reason, caller)

    def note_unserved(self, error: AirlockError, caller: Caller) -> None:
        """Record that a connection was not served."""
        record = self._begin("connect", caller=caller)
        if isinstance(error, Denied):
            record = replace(record, layer=error.layer, rule=error.rule)
        outcome: Outcome = "denied" if isinstance(error, Denied) else "failed"
        self._write_connection(_Operation(record), outcome, error.message, caller)

    def note_spliced(self, spliced: Spliced, caller: Caller) -> None:
        """Record a connection whose bytes were passed through unchanged."""
        destination = f"{spliced.host}:{spliced.port}"
        record = self._begin("connect", destination, caller=caller, service="connect")
        done = {"bytes": spliced.sent, "received": spliced.received}
        record = replace(record, detail={**_detail(record), **done})
        self._write_connection(_Operation(record, changes=True), "allowed", None, caller)

    def spend(self, spent: Spent) -> None:
        """Forget a credential that the service rejected."""
        self._sources.spend(self._agent, spent.api, spent.version)

    @property
    def _name(self) -> str:
        return self._agent.generation.agent.name

    def _find_api(self, name: str) -> Api | None:
        return next((each for each in self._agent.generation.apis.apis if each.name == name), None)

    def _admit(self, question: Question) -> Api:
        """The API that the question names; raises Denied."""
        api = self._find_api(question.api)
        if api is None:
            raise Denied(
                "this API is not granted to the agent any more",
                layer="profile",
                rule="commands",
                hint=f"a person on the host can add it to commands in airlock.toml{AND_RELOAD}",
            )
        if question.fingerprint != self._find_fingerprint(api):
            # The connection may lead to a host that the new credential is not for.
            raise Denied(
                f"the API {api.name} has changed since this connection was opened",
                layer="broker",
                rule="changed",
                hint="send the request again, over a new connection",
            )
        verdict = api.judge(_read_call(question))
        if verdict.refusal is not None:
            raise Denied(verdict.refusal, layer="broker", rule=verdict.rule, hint=verdict.hint)
        return api

    def _must_ask(self, question: Question, api: Api) -> bool:
        """Whether a person has to approve a request."""
        profile = self._agent.generation.agent.profile
        return profile.find_approval(api.list_operations(_read_call(question))) is not None

    async def _await_approval(
        self, question: Question, api: Api, body: bytes, operation: _Operation
    ) -> _Operation:
        """Wait for a person's answer; returns the operation with it. Raises Denied."""
        asked = describe_request(question, api, body)
        record = await self._shared.approvals.record_answer(
            asked, operation.record, agent=self._agent, size=len(body)
        )
        return replace(operation, record=record)

    def _find_fingerprint(self, api: Api) -> str:
        """The API's present fingerprint, cached because it takes long to compute."""
        known = self._fingerprints.get(api.name)
        if known is None or known[0] is not api:
            known = self._fingerprints[api.name] = (api, api.fingerprint)
        return known[1]

    def _describe(self, question: Question, caller: Caller) -> _Operation:
        api = self._find_api(question.api)
        name = question.api if api is None else api.module
        words = _read_call(question).words
        # After an upgrade the connection may carry any operation.
        changes = question.method not in _READING or question.upgrade is not None
        if question.graphql is not None:
            changes = any(field.kind != "query" for field in question.graphql)
        record = self._begin(name, *words, caller=caller)
        detail = {**_detail(record), "host": question.host}
        return _Operation(replace(record, command=shorten(name), detail=detail), changes)

    def _begin(self, *words: str, caller: Caller, service: str = "https") -> Record:
        return Record(
            event="broker",
            id=os.urandom(8).hex(),
            request=caller.request,
            profile=self._name,
            peer=caller.peer,
            container=caller.container,
            container_proven=caller.container_proven,
            detail={"service": service, "operation": Operation(words).line},
        )

    def _refuse(self, question: int, record: Record, error: Exception) -> Answer:
        outcome: Outcome = "failed"
        # Tools retry most other statuses, but this needs a person first.
        status = _FORBIDDEN
        if isinstance(error, Denied):
            outcome = "denied"
            record = replace(record, layer=error.layer, rule=error.rule)
        elif not isinstance(error, AirlockError):
            log.error(
                "a fault of the daemon refused a request to an API; please report it",
                exc_info=error,
            )
            error, status = own_fault(error), _FAULT
        self._write(_Operation(record), outcome, error.message)
        refusal = Refusal(
            message=error.message, hint=error.hint, rule=str(record.rule or ""), status=status
        )
        return Answer(question=question, refusal=refusal)

    def _write(self, operation: _Operation, outcome: Outcome, reason: str | None) -> None:
        """Write a record, or count it if there were too many."""
        is_written = self._quota.has_room or operation.changes
        if is_written:
            self._quota.spend()
        self._write_or_count(operation.record, outcome, reason, is_written=is_written)

    def _write_connection(
        self, operation: _Operation, outcome: Outcome, reason: str | None, caller: Caller
    ) -> None:
        """As `_write`, for a connection; a command's connections share one quota of records."""
        if caller.spend_record is None:
            self._write(operation, outcome, reason)
            return
        is_written = caller.spend_record()
        self._write_or_count(operation.record, outcome, reason, is_written=is_written)

    def _write_or_count(
        self, record: Record, outcome: Outcome, reason: str | None, *, is_written: bool
    ) -> None:
        if is_written:
            short = None if reason is None else shorten(reason)
            self._shared.record(replace(record, outcome=outcome, reason=short))
        else:
            kind = Kind("broker", outcome, record.layer)
            self._shared.audit.count(self._name, kind, record.peer)


def _read_call(question: Question) -> ApiCall:
    return ApiCall(
        method=question.method,
        path=question.path,
        query_names=question.query_names,
        graphql=question.graphql,
        upgrade=question.upgrade,
        has_form=question.has_form,
        aws=question.aws,
    )


def describe_request(question: Question, api: Api, body: bytes) -> ApprovalRequest:
    """A request with its content for a person."""
    host = f"[{question.host}]" if ":" in question.host else question.host
    content = question.content
    if content is not None and content.port != _HTTPS:
        host = f"{host}:{content.port}"
    query = f"?{content.query}" if content is not None and content.query else ""
    details = [("request", f"{question.method} https://{host}{question.path}{query}")]
    if question.aws is not None and question.aws.session is not None:
        details.append(("in a session of role", question.aws.session))
    if content is not None:
        # So that no header is called as another detail is.
        details += ((f"header {name}", value) for name, value in content.headers)
    if body:
        try:
            details.append(("body", body.decode()))
        except UnicodeDecodeError:
            details.append(("body in base64", base64.encodebytes(body).decode()))
    note = "" if question.upgrade is None else "what is sent over the connection is not bound"
    return ApprovalRequest(
        operation=Operation((api.module, *_read_call(question).words)),
        details=tuple(details),
        forms=tuple(api.list_operations(_read_call(question))),
        note=note,
    ).lasting


def _detail(record: Record) -> dict[str, object]:
    return record.detail if isinstance(record.detail, dict) else {}
