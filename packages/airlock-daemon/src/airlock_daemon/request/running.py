"""The last steps of a request: a place to run, the command, its post-exec hook, the answer."""

from collections.abc import Awaitable, Callable
from contextlib import closing, nullcontext
from functools import partial
from typing import Literal

import msgspec
import trio
from msgspec.structs import replace

from airlock_daemon.brokers.git.conversation import Conversation
from airlock_daemon.brokers.git.errand import UrlErrand
from airlock_daemon.brokers.git.lfs_conversation import LfsConversation
from airlock_daemon.brokers.git.outcome import LfsOutcome, Outcome
from airlock_daemon.brokers.git.party import Party
from airlock_daemon.brokers.git.telling import describe, describe_object
from airlock_daemon.brokers.git.url_conversation import UrlConversation
from airlock_daemon.brokers.ssh.advice import LoginAdvice
from airlock_daemon.brokers.ssh.session import Admitted
from airlock_daemon.brokers.ssh.telling import describe as describe_session
from airlock_daemon.command.stdio import Counted, Emit
from airlock_daemon.connection.session import ClientGone
from airlock_daemon.errors import AND_RELOAD, Denied, Failed
from airlock_daemon.fairness.gate import Place
from airlock_daemon.request.asks import Asks
from airlock_daemon.request.capture import Capture
from airlock_daemon.request.client import Client
from airlock_daemon.request.egress import Egress
from airlock_daemon.request.execution import Finished, Lead, execute
from airlock_daemon.request.logins import execute_docker
from airlock_daemon.request.negotiation import Terms
from airlock_daemon.request.plan import Boxed, Plan, Talk
from airlock_daemon.request.post_exec import review, send
from airlock_daemon.request.recording import Recording
from airlock_daemon.request.relay import Relay
from airlock_daemon.request.state import AgentState, DaemonState
from airlock_daemon.request.talk import hold
from airlock_daemon.sandbox.doors import Doors
from airlock_daemon.sandbox.fencing import Fencing, private_directory
from airlock_daemon.setup.generation import Generation
from airlock_modules import Module, RemoteRequest, Session

_Run = Callable[[], Awaitable[Finished]]
_Way = Callable[..., Awaitable[Finished]]


class Runner(msgspec.Struct, frozen=True, kw_only=True):
    """Runs what a request of `client` is allowed, as `generation` has it of `agent`.

    `asks` opens what the command may ask brokers by.
    """

    client: Client
    generation: Generation
    agent: AgentState
    shared: DaemonState
    recording: Recording
    asks: Asks

    async def run(self, planned: Plan | Talk, module: Module) -> None:
        """Wait for one of the agent's places, run the command of `module`, and answer.

        What was asked for over a relay runs in the place of the command that has it.

        Raises Denied where there is no place, Failed where the command cannot be started or takes
        longer than its module says, ClientGone.
        """
        agent = self.agent
        alone = None if module.concurrent else self.shared.alone(module.name)
        place = Place() if self.asks.is_relayed else await agent.gate.take(alone)
        try:
            await agent.share.take(place)
            self.recording.note(sandbox=_name_box(planned))
            self.recording.write_start()
            self.recording.is_output_seen = not planned.terms.uses("fds")
            run = self._choose(planned, module)
            hook = self.generation.agent.hooks.post_exec
            if hook is None:
                send = self.client.session.send_output
                run = partial(run, emit=send, conclude=self._conclude)
                await self._run_in_time(run, module)
            else:
                leave = partial(place.leave, alone)
                await self._run_before(hook, run, planned, module, leave)
        finally:
            agent.share.give_back(place)
            place.give_back()

    async def _run_before(
        self, hook: str, run: _Way, planned: Plan | Talk, module: Module, leave: Callable[[], None]
    ) -> None:
        """Run it, and have the post-exec `hook` look at its answer, once it has left its turn."""
        session = self.client.session
        capture = Capture(self.generation.hook_limits.capture_bytes)
        # What a broker's client is told is the remote's, byte for byte: a hook hears of the end.
        is_captured = isinstance(planned, Plan) and planned.errand is None
        emit = capture.take if is_captured else session.send_output
        finished = await self._run_in_time(partial(run, emit=emit, conclude=self._note), module)
        # In the agent's own place: so many hooks at once, and so much output in memory.
        leave()
        reviewed = await review(
            capture,
            finished.ended,
            hook,
            generation=self.generation,
            agent=self.agent,
            shared=self.shared,
        )
        self.recording.note_hook(reviewed.detail)
        if is_captured:
            await send(reviewed, session, self.agent.turns)
            finished = replace(finished, ended=reviewed.ended)
        await self._answer(finished)

    def _choose(self, planned: Plan | Talk, module: Module) -> _Way:
        """The way to carry a plan out: `execute` for a command, or `hold`; it wants `emit` and
        `conclude`.
        """
        agent, shared, recording = self.agent, self.shared, self.recording
        limits = self.generation.limits
        party = Party(
            generation=self.generation,
            current=lambda: agent.generation,
            turns=agent.turns,
            gate=agent.gate,
        )
        if isinstance(planned, Talk):
            return partial(
                hold,
                planned,
                self.client,
                shared,
                limits=limits,
                turns=agent.turns,
                conversation=_begin(planned, party, recording),
            )
        run: _Way = partial(
            execute, plan=planned, client=self.client, shared=shared, agent=agent, limits=limits
        )
        if planned.session is not None:
            return partial(_run_session, run, planned.session, recording, terms=planned.terms)
        if planned.boxed is not None:
            return self._choose_boxed(run, planned, planned.boxed, module)
        if planned.errand is None:
            return run
        asked, is_pinned = planned.errand.asked, planned.errand.is_pinned
        return partial(
            run,
            conversation=Conversation(
                planned.errand,
                party,
                null=shared.null,
                tell=lambda outcome: _tell_outcome(recording, asked, outcome, is_pinned),
            ),
        )

    def _choose_boxed(self, run: _Way, planned: Plan, boxed: Boxed, module: Module) -> _Way:
        agent, shared = self.agent, self.shared
        run = partial(run, lead=self._lead_out(boxed.box.doors, module))
        if boxed.maker.has_engine:
            run = partial(execute_docker, run, planned, boxed, shared, agent, self.generation)
        if boxed.box.asks:
            run = partial(_run_asking, run, partial(self.asks.open, boxed.box.asks))
        if boxed.maker.bubblewrap is None:
            run = partial(_run_privately, run, boxed, agent, shared)
        return run

    def _lead_out(self, doors: Doors | None, module: Module) -> Lead | None:
        """What makes the ways out of a box with these doors."""
        if doors is None:
            return None
        return partial(
            Egress,
            doors,
            module=module,
            recording=self.recording,
            agent=self.agent,
            shared=self.shared,
        )

    async def _run_in_time(self, run: _Run, module: Module) -> Finished:
        if not module.timeout_s:
            return await run()
        with trio.move_on_after(module.timeout_s):
            return await run()
        if self.recording.is_written:
            # The client has not taken its answer in time.
            raise ClientGone
        raise Failed(
            f"{module.name} was ended after {module.timeout_s:g} s",
            hint=f"a person on the host can raise [exec] timeout_s of its module ({module.source})"
            f"{AND_RELOAD}",
        )

    async def _note(self, finished: Finished) -> None:
        self.recording.note(exit_code=finished.ended.exit_code, signal=finished.ended.signal)

    async def _conclude(self, finished: Finished) -> None:
        await self._note(finished)
        await self._answer(finished)

    async def _answer(self, finished: Finished) -> None:
        self.recording.write("allowed")
        ended = finished.ended
        await self.client.session.send_result(
            ended.exit_code, signal=ended.signal, stdin_bytes=finished.stdin_bytes
        )


def _name_box(planned: Plan | Talk) -> str:
    """What a record says of where a command runs.

    A broker has no box since it needs none, which is not the same as a tool that runs without.
    """
    if isinstance(planned, Talk) or planned.errand is not None or planned.session is not None:
        return "broker"
    return "off" if planned.boxed is None else planned.boxed.maker.name


async def _run_session(
    run: _Way,
    admitted: Admitted,
    recording: Recording,
    *,
    terms: Terms,
    emit: Emit,
    conclude: Callable[[Finished], Awaitable[None]],
) -> Finished:
    """Run a session of ssh, and record it when it ends, by whatever way."""
    advice = None
    if isinstance(asked := admitted.asked, Session):
        login = asked.login
        advice = LoginAdvice(emit, user=login.user, host=login.host, port=login.port)
        emit = advice.emit
    counted = Counted(emit)
    sent: int | None = None

    def tell() -> None:
        received = None if terms.uses("fds") else counted.stdout
        detail = describe_session(admitted, sent=sent, received=received)
        recording.write_broker("allowed", detail, rule=None, reason=None)

    is_told = False

    async def end(finished: Finished) -> None:
        nonlocal sent, is_told
        sent, is_told = finished.stdin_bytes, True
        if advice is not None:
            # The client's terminal is raw where ssh has another one.
            await advice.conclude(finished.ended, end="\n" if terms.terminal is None else "\r\n")
        # Before the client is answered.
        tell()
        await conclude(finished)

    try:
        return await run(emit=counted.emit, conclude=end)
    finally:
        if not is_told:
            tell()


async def _run_privately(
    run: _Way, boxed: Boxed, agent: AgentState, shared: DaemonState, **more: object
) -> Finished:
    identity = boxed.maker.identity
    async with private_directory(identity, agent.removals) as private:
        with nullcontext() if (group := agent.open_group()) is None else closing(group):
            fencing = Fencing(
                launcher=shared.launcher,
                identity=identity,
                reserved=boxed.reserved,
                lookups=agent.lookups,
                private=private,
                group=group,
            )
            return await run(fencing=fencing, **more)


async def _run_asking(run: _Way, make: Callable[[], Relay], **more: object) -> Finished:
    with closing(make()) as relay:
        return await run(asking=relay, **more)


def _begin(talk: Talk, party: Party, recording: Recording) -> UrlConversation | LfsConversation:
    errand = talk.errand
    if isinstance(errand, UrlErrand):
        tell = partial(_tell_outcome, recording)
        return UrlConversation(errand, party, means=talk.means, tell=tell)
    tell_object = partial(_tell_object, recording, errand.wanted.asked)
    return LfsConversation(errand, party, means=talk.means, tell=tell_object)


def _tell_object(recording: Recording, asked: RemoteRequest, outcome: LfsOutcome) -> None:
    error = outcome.error
    decision: Literal["allowed", "denied", "failed", "aborted"]
    rule, reason = None, None
    if isinstance(error, Denied):
        decision, rule, reason = "denied", error.rule, error.message
    elif error is not None:
        decision, reason = "failed", error.message
    elif outcome.is_done:
        decision = "allowed"
    else:
        decision, reason = "aborted", "the conversation ended in the middle of the object"
    recording.write_conversation(
        decision, describe_object(asked, outcome), rule=rule, reason=reason
    )


def _tell_outcome(
    recording: Recording, asked: RemoteRequest, outcome: Outcome, is_pinned: bool
) -> None:
    first = outcome.refusal
    recording.write_broker(
        outcome.decision,
        describe(asked, outcome, is_pinned=is_pinned),
        rule=None if first is None else first.rule,
        reason=None if first is None else f"{first.ref or 'the push'}: {first.problem}",
    )
