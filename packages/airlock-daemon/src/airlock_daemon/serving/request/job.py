"""The plan for an allowed request: one frozen value, made before anything starts."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec.structs import replace

from airlock_daemon.boundary.command import CommandLine, Emit, Ended
from airlock_daemon.boundary.connection.descriptors import ClientDescriptors
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.errors import Denied, UnknownCommand
from airlock_daemon.serving.request.recording import Recording
from airlock_daemon.serving.request.state import AgentState, DaemonState
from airlock_daemon.serving.session import Cancellation, Session, Watched
from airlock_daemon.setup.generation import Generation
from airlock_modules import Grant, Module, evaluate
from airlock_wire import Request, Terminal

if TYPE_CHECKING:
    from airlock_daemon.boundary.approval.questions import ApprovalRequest
    from airlock_daemon.boundary.box import Boxed
    from airlock_daemon.serving.request.relay import Converse, Origin
    from airlock_modules import PathUse

# The features by how the output is sent.
_ALWAYS = frozenset(("signals", "exit-signal", "env"))
_PASSED = _ALWAYS | {"fds"}
_STREAMED = _ALWAYS | {"base64", "stdin"}
_WITH_TERMINAL = _STREAMED | {"tty"}


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request while it is served: its connection, agent and record.

    `generation` decides it even after a reload, unless it waited for a person meanwhile: `held` is
    then the job that waited, planned by the rules of before. `origin` is None for a request on the
    agent's own socket; `converse` serves a relay's connections.
    """

    session: Session
    watched: Watched
    cancellation: Cancellation
    shared: DaemonState
    agent: AgentState
    generation: Generation
    recording: Recording
    converse: "Converse"
    origin: "Origin | None"
    held: "Job | None" = None

    @property
    def has_approvals(self) -> bool:
        """Whether a person may have to approve what the agent does."""
        at_first, now = self.generation.agent.profile, self.agent.generation.agent.profile
        return at_first.approve is not None or now.approve is not None


class AgreedFeatures(msgspec.Struct, frozen=True):
    """The protocol features that client and daemon agree on.

    `terminal` is None if the daemon makes none for the tool. `features` is None if the client
    listed none. `are_passed` says that the tool gets the client's descriptors.
    """

    features: frozenset[str] | None
    terminal: Terminal | None = None
    are_passed: bool = False

    def uses(self, feature: str) -> bool:
        """Whether a feature was agreed on."""
        return self.features is not None and feature in self.features


class Finished(msgspec.Struct, frozen=True):
    """How a command ended, and how many bytes of stdin it took (None if unknown)."""

    ended: Ended
    stdin_bytes: int | None


class BrokerRun(Protocol):
    """Performs a broker's admitted request."""

    @property
    def is_exact(self) -> bool:
        """Whether the client gets the remote's bytes unchanged.

        A post-exec hook then sees only the exit status.
        """

    async def run(self, job: "Job", call: Call, emit: Emit, *, answers: bool) -> Finished:
        """Run it: `emit` receives its output; with `answers`, answers the client.

        Raises AirlockError if it cannot be started, ClientGone.
        """


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """An allowed request, planned before anything starts.

    A tool has a `command_line`, and a box or none. A broker has a `broker_run`, and a command line
    if it runs a program. `container_proven` is the record's, for a tool. `asked` is the operation
    that a person may have to approve before it starts, None if nobody need be asked, or the broker
    does that later. `banner` is written to the client's stderr before the command's output.
    """

    generation: Generation
    module: Module
    terms: AgreedFeatures
    peer: Peer
    command_line: CommandLine | None
    boxed: "Boxed | None" = None
    container_proven: bool | None = None
    broker_run: BrokerRun | None = None
    asked: "ApprovalRequest | None" = None
    banner: bytes = b""

    @property
    def sandbox(self) -> str:
        """The record's word for where it runs.

        "broker" differs from "off": a broker needs no box, a tool without one lacks it.
        """
        if self.broker_run is not None:
            return "broker"
        return "off" if self.boxed is None else self.boxed.maker.name

    @property
    def line_end(self) -> str:
        """The line end for the client's terminal, which is raw if the tool has its own."""
        return "\n" if self.terms.terminal is None else "\r\n"


def agree(request: Request, *, may_pass: bool, is_captured: bool) -> AgreedFeatures:
    """Choose the features.

    `may_pass` says that the tool may use the passed descriptors; `is_captured` that its output
    waits for a hook: with a terminal, a tool would then prompt a person who sees nothing.
    """
    asked, wanted = request.features, request.terminal
    if asked is None:
        return AgreedFeatures(None)
    if may_pass:
        return AgreedFeatures(_PASSED.intersection(asked), are_passed="fds" in asked)
    if wanted is not None and wanted.is_wanted and "tty" in asked and not is_captured:
        return AgreedFeatures(_WITH_TERMINAL.intersection(asked), wanted)
    return AgreedFeatures(_STREAMED.intersection(asked))


def find_term(request: Request, terms: AgreedFeatures, passed: ClientDescriptors) -> str | None:
    """The tool's TERM: the client's, if the tool has a terminal of either kind."""
    if request.terminal is None:
        return None
    is_there = terms.terminal is not None or (terms.are_passed and "terminal" in passed.kinds)
    return request.terminal.term if is_there else None


async def prove(peer: Peer, call: Call) -> str | None:
    """Return the id of the client's container, None if it cannot be proved."""
    if peer.container is None:
        return None
    is_proven = await call.shared.containers.proves(peer, agent=call.generation.agent.name)
    call.recording.note(container_proven=is_proven)
    return peer.container if is_proven else None


class Reloaded(Exception):
    """The rules were reloaded while `job` waited; it is approved, and nothing of it has begun."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job


async def require_approval(
    call: Call,
    peer: Peer,
    judge: Callable[[Call], Awaitable[None]],
    asked: "ApprovalRequest",
    emit: Emit,
) -> None:
    """Wait for a person's approval of an operation of a conversation, where a profile requires one.

    `peer` is the request's client; `emit` gets the line for it while it waits. If it had to and the
    rules were reloaded, `judge` judges the request by the present ones. Raises Denied if it is
    refused or nobody answers, and what `emit` and `judge` raise.
    """
    # An earlier answer was for what has its record already.
    call.recording.note(approval=None)
    if call.has_approvals:
        from airlock_daemon.serving.request.approvals import require  # noqa: PLC0415

        async def tell(line: str) -> None:
            await emit("stderr", f"airlock: {line}\n".encode())

        is_approved = await require(asked, peer, call, tell)
        if is_approved and call.agent.generation is not call.generation:
            await judge(replace(call, generation=call.agent.generation))


class Allowed(msgspec.Struct, frozen=True):
    """The module that allows a request, and the paths in its arguments."""

    module: Module
    paths: "tuple[PathUse, ...]"


def decide_call(request: Request, call: Call) -> Allowed:
    """As `decide`; over a relay, for the box's commands only."""
    if call.origin is None:
        return decide(call.generation.grant, request)
    return call.origin.decide(call.generation.grant, request)


def decide(grant: Grant, request: Request) -> Allowed:
    """Evaluate a request; raises UnknownCommand, or Denied with the refusing layer and rule."""
    decision = evaluate(grant, request.command, request.args, is_explained=False)
    if decision.allowed:
        return Allowed(grant.modules[request.command], decision.paths)
    if decision.layer is None:
        raise UnknownCommand(decision.message, command=request.command, hint=decision.hint)
    raise Denied(decision.message, layer=decision.layer, rule=decision.rule, hint=decision.hint)
