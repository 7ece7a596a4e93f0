"""A conversation with a remote, from its first byte to its end."""

from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import msgspec
import trio

from airlock_daemon.brokers.git.admission import judge_as_git, refuse_words, url_of
from airlock_daemon.brokers.git.errand import Errand
from airlock_daemon.brokers.git.transport import Transport
from airlock_daemon.command.launch import Ended
from airlock_daemon.command.process import Begin, Command, Grant
from airlock_daemon.command.stdio import Emit
from airlock_daemon.connection.descriptors import Passed
from airlock_daemon.errors import Denied
from airlock_daemon.fairness.gate import Gate
from airlock_daemon.fairness.turns import Turns
from airlock_daemon.setup.generation import Generation
from airlock_modules import (
    PushList,
    PushReader,
    Refusal,
    RemoteError,
    compose_report,
    judge_push,
)
from airlock_wire import Signal

# What a list of refs takes in memory is fewer than so many times its bytes.
GROWTH = 8


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a conversation: of a push with what its client asked for, if it said so.

    `sent` counts the bytes of a push that went to the remote.
    """

    decision: Literal["allowed", "denied"]
    push: PushList | None = None
    refusals: tuple[Refusal, ...] = ()
    sent: int = 0


class Conversation:
    """One errand as it is run. `tell` gets what became of it, once."""

    def __init__(
        self,
        errand: Errand,
        generation: Generation,
        turns: Turns,
        gate: Gate,
        *,
        null: int,
        tell: Callable[[Outcome], None],
    ) -> None:
        """`gate` counts what is held of a list; `null` is the host's /dev/null."""
        self._errand = errand
        self._generation = generation
        self._turns = turns
        self._gate = gate
        self._null = null
        self._tell = tell
        self._push: PushList | None = None
        self._refusals: tuple[Refusal, ...] = ()
        self._report = b""
        self._is_told = False
        self._fault: RemoteError | None = None
        self._sent = 0

    def open(self, passed: Passed, *, is_passed: bool) -> Transport:
        """Open the streams: those that the client passed, or others.

        Raises OSError where there are no descriptors left.
        """
        if not is_passed:
            passed.close()
        return Transport(passed if is_passed else None, is_held=self._errand.is_push)

    async def relay(
        self, command: Command, transport: Transport, emit: Emit, grant: Grant, begin: Begin
    ) -> Ended:
        """As `Command.relay`. Raises Denied for what is no push, too."""
        try:
            ended = await self._relay(command, transport, emit, grant, begin)
        finally:
            is_refused = self._fault is not None or bool(self._refusals)
            decision: Literal["allowed", "denied"] = "denied" if is_refused else "allowed"
            self._tell(
                Outcome(
                    decision=decision, push=self._push, refusals=self._refusals, sent=self._sent
                )
            )
        if self._fault is not None:
            raise refuse_words(self._fault)
        if not self._refusals:
            return ended
        if not self._report:
            first = self._refusals[0]
            raise Denied(
                f"the push is refused: {first.ref or ''} {first.problem}",
                layer="broker",
                rule=first.rule,
                hint="this git has not asked its remote to say more",
            )
        return Ended(0, None)

    async def _relay(
        self, command: Command, transport: Transport, emit: Emit, grant: Grant, begin: Begin
    ) -> Ended:
        if not self._errand.is_push:
            return await command.relay(emit, grant, begin)
        outcome: Ended | Exception
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_on, command, transport)
            try:
                outcome = await command.relay(emit, grant, begin)
            except Exception as error:  # noqa: BLE001 - a nursery would put it into a group
                outcome = error
            nursery.cancel_scope.cancel()
        if isinstance(outcome, Exception):
            raise outcome
        if self._report and not self._is_told:
            # The remote went away before the client had written its pack.
            if transport.is_streamed:
                await emit("stdout", self._report)
            else:
                with suppress(OSError):
                    await transport.answer(self._report, self._turns)
        return outcome

    async def _pass_on(self, command: Command, transport: Transport) -> None:
        """Hold what the client writes until its list of refs was judged, then pass it on."""
        reader = PushReader()
        held = 0
        try:
            while self._push is None and (data := await transport.read(self._turns)):
                # What is read of it takes some times as much.
                if not self._gate.hold(GROWTH * len(data)):
                    raise RemoteError("too much of this agent's requests is under way", rule="size")
                held += GROWTH * len(data)
                self._push = reader.feed(data)
            if self._push is None:
                transport.end_input()
                return
            self._refusals = await self._judge(self._push)
            with suppress(OSError):
                if self._refusals:
                    await self._refuse(self._push, transport)
                else:
                    self._sent = len(reader.held)
                    await transport.write(reader.held)
        except RemoteError as error:
            self._fault = error
        finally:
            self._gate.release(held)
        if self._fault is not None or self._refusals:
            command.tell(Signal(name="SIGTERM"))
            return
        with suppress(OSError):
            self._sent += await transport.move_rest(self._turns)

    async def _judge(self, push: PushList) -> tuple[Refusal, ...]:
        refusals = judge_push(self._errand.grant, push)
        if refusals:
            return refusals
        found = []
        for update in push.updates:
            await self._turns.take()
            flags = ("--delete",) if update.is_deletion else ()
            try:
                judge_as_git(
                    ("push", *flags, url_of(self._errand.asked), update.ref), self._generation
                )
            except Denied as error:
                found.append(
                    Refusal(ref=update.ref, rule=error.rule or "rules", problem=error.message)
                )
        return tuple(found)

    async def _refuse(self, push: PushList, transport: Transport) -> None:
        self._report = compose_report(push, self._refusals)
        if push.brings_pack:
            await transport.drop_rest(self._turns, null=self._null)
        if self._report:
            await transport.answer(self._report, self._turns)
            self._is_told = True
