"""Waits for a person's answer to an operation, where `[approve]` requires one."""

import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial

import msgspec
import trio
from msgspec.structs import replace

from airlock_daemon.boundary.approval.questions import (
    Answer,
    ApprovalRequest,
    Question,
    Questions,
    Rejected,
    Ticket,
    TooManyQuestions,
)
from airlock_daemon.boundary.command import CommandLine, Ended
from airlock_daemon.boundary.fairness import too_large_error
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.errors import AND_RELOAD, AirlockError, Denied
from airlock_daemon.platform.system import SEARCH
from airlock_daemon.serving.audit.record import Record
from airlock_daemon.serving.request.execution import ENDING, buffer_start, listen
from airlock_daemon.serving.request.job import Call, Job, Reloaded
from airlock_daemon.serving.request.state import AgentState, log
from airlock_daemon.serving.session import ClientMessage
from airlock_daemon.setup.generation import Generation
from airlock_daemon.threads import run_with_others
from airlock_modules import Module
from airlock_modules.files.approvals import ApprovalRules, list_tool_forms
from airlock_modules.operation import Operation
from airlock_wire import Resize, Signal

PATIENCE_S = 20.0
"""Seconds until a client that cannot be told anything meanwhile is answered that it is pending."""

Tell = Callable[[str], Awaitable[None]]
"""Gets the line that tells a client what it waits for."""

# With these a program can show something on a person's desktop.
_DESKTOP = (
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
)
_BASE = ("HOME", "USER", *_DESKTOP)

# What waits for a person takes at most this times its bytes.
_SHOWN_TIMES = 5


class Approvals:
    """The questions of a running daemon."""

    def __init__(self, environment: dict[str, str]) -> None:
        """`environment` is the daemon's."""
        self.questions = Questions()
        self._environment = environment
        self._changed = trio.Event()
        self._notified: set[str] = set()
        self._is_stopping = False

    @staticmethod
    def note_rejection(record: Record, error: Exception) -> Record:
        """The record, with the answer of the person if one has rejected the operation."""
        if not isinstance(error, Rejected):
            return record
        return replace(record, approval=describe_approval(error.answer))

    async def wait(
        self,
        asked: ApprovalRequest,
        *,
        agent: AgentState,
        generation: Generation,
        client: str,
        tell: Tell,
        patience_s: float | None = None,
    ) -> Answer | Question | None:
        """Wait for the answer, if the rules of the request's generation or the present one ask.

        `client` is who asks, in a few words. Returns the approval; None if nobody need be asked;
        the question if it is still open after `patience_s`. Raises Denied for a rejection or
        silence, and what `tell` raises.
        """
        rules, pattern = _find_pattern(asked, generation, agent.generation)
        if rules is None or pattern is None:
            return None
        if self._is_stopping:
            raise _refuse("the daemon is stopping, and asks nobody", hint="try again later")
        bell = _Bell()
        try:
            ticket = self.questions.ask(
                asked,
                agent=generation.agent.name,
                client=client,
                pattern=pattern,
                wait_s=rules.wait_s,
                now=trio.current_time(),
                wake=bell.ring,
            )
        except TooManyQuestions:
            raise Denied(
                "too many questions of this agent wait for a person",
                layer="limit",
                rule="questions",
                hint="wait until some are answered; a person on the host sees them with: airlock "
                "pending",
            ) from None
        if ticket.answer is not None:
            return _judge(ticket.answer)
        self.note_change()

        async def wait(nursery: trio.Nursery) -> Answer | Question:
            notify = partial(self._start_notify, nursery, agent, rules.notify)
            return await self._wait(ticket, bell, tell, notify, patience_s)

        try:
            outcome = await run_with_others(wait)
        finally:
            self.questions.stop_waiting(ticket)
            self.note_change()
        return _judge(outcome) if isinstance(outcome, Answer) else outcome

    async def _wait(
        self,
        ticket: Ticket,
        bell: "_Bell",
        tell: Tell,
        notify: Callable[[Question], None],
        patience_s: float | None,
    ) -> Answer | Question:
        told = ""
        patience = trio.CancelScope()
        if patience_s is not None:
            patience.deadline = trio.current_time() + patience_s
        while (question := ticket.question) is not None and ticket.answer is None:
            if question.id != told:
                told = question.id
                notify(question)
                left = question.ends - trio.current_time()
                await tell(
                    f"approval {told} is pending: it waits up to {left:.0f} s for a person on the "
                    f"host: airlock approve {told}"
                )
            until = min(patience.deadline, question.ends)
            with trio.move_on_at(until):
                await bell.wait()
            if trio.current_time() >= question.ends:
                self.questions.expire(trio.current_time())
            elif trio.current_time() >= patience.deadline and ticket.answer is None:
                return question
        if ticket.answer is None:
            raise TypeError(ticket)
        return ticket.answer

    async def record_answer(
        self, asked: ApprovalRequest, record: Record, *, agent: AgentState, size: int
    ) -> Record:
        """Wait as long as an HTTP client does; returns the record, with the answer if there is one.

        `size` are the bytes that are shown. Raises Denied, also for a question that is still open:
        a client that has waited for long gives up, so it is told to try again.
        """
        if not agent.gate.reserve(_SHOWN_TIMES * size):
            raise too_large_error()
        try:
            answer = await self.wait(
                asked,
                agent=agent,
                generation=agent.generation,
                client=name_client(record.container, record.peer),
                tell=_tell_nobody,
                patience_s=PATIENCE_S,
            )
        finally:
            agent.gate.release(_SHOWN_TIMES * size)
        if isinstance(answer, Question):
            raise Denied(
                f"approval {answer.id} is pending",
                layer="profile",
                rule="approve",
                hint=f"repeat after a person on the host has run: airlock approve {answer.id}",
            )
        # The rules may have been reloaded meanwhile, so that nobody is asked.
        return record if answer is None else replace(record, approval=describe_approval(answer))

    def note_change(self) -> None:
        """Wake those that watch for a change of the questions."""
        before, self._changed = self._changed, trio.Event()
        before.set()

    def watch(self) -> Callable[[], Awaitable[None]]:
        """A function that waits for the first change of the questions from now on.

        It returns when a question was asked or has ended, or the number of its requests changed.
        """
        changed, deadline = self._changed, self.questions.next_deadline

        async def wait() -> None:
            with trio.move_on_at(float("inf") if deadline is None else deadline):
                await changed.wait()
            self.questions.expire(trio.current_time())

        return wait

    def withdraw(self, agent: str) -> None:
        """Refuse what a removed agent waits for."""
        self.questions.withdraw(agent, reason="the agent is not registered any more")
        self.note_change()

    def stop(self) -> None:
        """Refuse everything that waits: another daemon knows nothing of it."""
        self._is_stopping = True
        self.questions.withdraw(None, reason="the daemon stopped")
        self.note_change()

    def _start_notify(
        self, nursery: trio.Nursery, agent: AgentState, argv: tuple[str, ...], question: Question
    ) -> None:
        nursery.start_soon(self._notify, agent, argv, question)

    async def _notify(self, agent: AgentState, argv: tuple[str, ...], question: Question) -> None:
        """Run `notify` once for a question. It cannot answer: it descends from the daemon."""
        if not argv or question.id in self._notified:
            return
        open_ids = {each.id for each in self.questions.list_open(trio.current_time())}
        self._notified = (self._notified & open_ids) | {question.id}
        generation = agent.generation
        name = generation.agent.name
        try:
            directory = os.open(generation.agent.directory, SEARCH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                variables = {"PATH": generation.programs.path, "AIRLOCK_AGENT": name}
                known = self._environment
                variables |= {each: known[each] for each in _BASE if each in known}
                line = CommandLine(generation.programs.demand(argv[0]), argv, variables, directory)
                status, _ = await agent.run_program(line, said=_tell_program(question))
            finally:
                os.close(directory)
            if status:
                log.warning(
                    "agent %s: [approve] notify ended with %d; see what it says when you run it",
                    *(name, status),
                )
        except (AirlockError, OSError) as error:
            log.warning(
                "agent %s: [approve] notify: %s; the question waits: airlock pending",
                *(name, error),
            )
        except Exception:  # noqa: BLE001 - the question waits all the same
            log.exception("a fault of the daemon kept it from notifying; please report it")


class _Bell:
    """Wakes one waiting task, as often as it is rung."""

    def __init__(self) -> None:
        self._rung = trio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self) -> None:
        await self._rung.wait()
        self._rung = trio.Event()


async def _tell_nobody(_line: str) -> None:
    """HTTP has no words for a request that waits."""


async def require(asked: ApprovalRequest, peer: Peer, call: Call, tell: Tell) -> bool:
    """Wait for the approval of an operation of `peer`, if the rules ask; the record has the answer.

    Returns whether they ask. Raises Denied, and what `tell` raises.
    """
    try:
        answer = await call.shared.approvals.wait(
            asked,
            agent=call.agent,
            generation=call.generation,
            client=name_client(peer.container, {"pid": peer.pid}),
            tell=tell,
        )
    except Rejected as error:
        call.recording.note(approval=describe_approval(error.answer))
        raise
    if isinstance(answer, Answer):
        call.recording.note(approval=describe_approval(answer))
    return answer is not None


def describe_tool(
    command: tuple[str, ...], module: Module, *, directory: str, variables: Mapping[str, str]
) -> ApprovalRequest:
    """A tool's command for a person: its name and arguments, and where it runs.

    `variables` are the client's that the tool gets.
    """
    details = [("directory", directory)]
    details += [(f"variable {name}", value) for name, value in sorted(variables.items())]
    return ApprovalRequest(
        operation=Operation(("run", *command)),
        details=tuple(details),
        forms=list_tool_forms(command, module),
        note="what the command reads, files and stdin, is not bound",
    ).lasting


def name_client(container: str | None, peer: Mapping[str, int] | None) -> str:
    """A client for a person: its container as an engine shows it, else its process."""
    if container is not None:
        return f"container {container[:12]}"
    return f"process {peer['pid']}" if peer is not None and peer["pid"] else "an unseen container"


def describe_approval(answer: Answer) -> dict[str, object]:
    """The `approval` of a record: the question's id, and who answered, in at most 85 letters."""
    rejected = {"rejected": True} if answer.verdict == "rejected" else {}
    return {"id": answer.id, "by": answer.by, **rejected}


def _find_pattern(
    asked: ApprovalRequest, *generations: Generation
) -> tuple[ApprovalRules, str] | tuple[None, None]:
    """The first rules that ask, and their pattern."""
    forms = asked.forms or (asked.operation.words,)
    for generation in generations:
        rules = generation.agent.profile.approve
        pattern = None if rules is None else rules.find(forms)
        if rules is not None and pattern is not None:
            return rules, pattern
    return None, None


def _judge(answer: Answer) -> Answer:
    """Return an approval; raises Denied for any other answer."""
    match answer.verdict:
        case "approved":
            return answer
        case "rejected":
            raise Rejected(answer)
        case "silence":
            raise _refuse(
                f"nobody has answered approval {answer.id} in time",
                hint="ask again when somebody is there; a person on the host can give it longer, "
                f"by [approve] wait_s in airlock.toml{AND_RELOAD}",
            )
    raise _refuse(
        f"approval {answer.id} is withdrawn: {answer.reason}", hint="ask again when it is back"
    )


def _refuse(message: str, *, hint: str) -> Denied:
    return Denied(message, layer="profile", rule="approve", hint=hint)


def _tell_program(question: Question) -> bytes:
    """A question as JSON for `notify`; the operation is on one printable line."""
    told = {
        "id": question.id,
        "agent": question.agent,
        "client": question.client,
        "operation": question.asked.operation.whole,
        "pattern": question.pattern,
        "approve": f"airlock approve {question.id}",
        "reject": f"airlock reject {question.id}",
    }
    return msgspec.json.encode(told) + b"\n"


async def hold_job(job: Job, call: Call) -> Ended | None:
    """Wait for the approval of a job, where it is required; returns how a signal ended the wait.

    None if the job may start; it then gets what else the client has sent. What was approved before
    the rules were reloaded is not asked about again. Raises Denied, ClientGone, and Reloaded.
    """
    if call.held is not None:
        _refuse_other_terms(job, call.held)
    if job.asked is None or (call.held is not None and _digest(job) == _digest(call.held)):
        return None
    return await _hold(job, job.asked, call)


def _digest(job: Job) -> str | None:
    return None if job.asked is None else job.asked.digest


def _refuse_other_terms(job: Job, held: Job) -> None:
    """Raise Denied if a job is not served in the way that its client was told when it waited."""
    told, now = ((each.terms, each.generation.limits.stdin_bytes) for each in (held, job))
    if told != now:
        raise _refuse(
            "the rules were reloaded while it waited for a person, and it would be served in "
            "another way now",
            hint="run it again",
        )


async def _hold(job: Job, asked: ApprovalRequest, call: Call) -> Ended | None:
    held: list[ClientMessage] = []
    resized: Resize | None = None
    scope = trio.CancelScope()
    ended: Ended | None = None

    def hear(said: ClientMessage) -> None:
        nonlocal ended, resized
        # Only stdin is bounded, by its credit: the client may send any number of the others.
        if isinstance(said, Resize):
            resized = said
        elif not isinstance(said, Signal):
            held.append(said)
        elif said.name in ENDING:
            ended = Ended(128 + ENDING[said.name], said.name)
            scope.cancel()

    # What it sent while it waited under earlier rules.
    call.session.replay(hear)

    async def tell(line: str) -> None:
        buffer_start(job, call)
        text = f"airlock: {line}{job.line_end}"
        await call.session.send_output("stderr", text.encode())
        if job.terms.features:
            listen(call, hear)

    is_approved = False
    with scope:
        is_approved = await require(asked, job.peer, call, tell)
    # Nobody watches a client that has hung up.
    with suppress(OSError):
        call.watched.ignore()
    call.session.store_messages(held if resized is None else [resized, *held])
    # It may have come with the answer.
    if ended is None and is_approved and call.agent.generation is not call.generation:
        raise Reloaded(job)
    return ended
