"""Relays a conversation with a remote over ssh."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import trio
from msgspec.structs import replace

from airlock_daemon.boundary.brokers.git.rules import (
    Outcome,
    Report,
    SshRemote,
    judge_and_approve,
    judged,
    listed,
    read_list,
    refuse_without_report,
    refuse_words,
)
from airlock_daemon.boundary.brokers.requester import (
    BufferedBytes,
    Requester,
    of_its_stdin,
)
from airlock_daemon.boundary.brokers.ssh.session import Counted, LoginAdvice, Transport
from airlock_daemon.boundary.command import PIECE, Begin, Command, Emit, Ended, Grant, Stdio
from airlock_daemon.boundary.connection.descriptors import ClientDescriptors
from airlock_daemon.boundary.fairness import TurnQueue
from airlock_daemon.threads import run_with_others
from airlock_modules import PushList, Refusal, RemoteError, compose_report
from airlock_wire import Signal


class Conversation:
    """A conversation with a remote over ssh. `tell` is called once with the outcome."""

    def __init__(
        self,
        remote: SshRemote,
        requester: Requester,
        *,
        null: int,
        tell: Report,
    ) -> None:
        """`null` is the host's /dev/null."""
        self._remote = remote
        self._requester = requester
        self._turns = requester.turns
        self._null = null
        self._tell = tell
        self._outcome = Outcome(decision="allowed")
        self._report = b""
        self._fault: RemoteError | None = None
        self._unsaid: Exception | None = None
        self._transport: Transport | None = None

    def open(self, passed: ClientDescriptors, *, is_passed: bool) -> Stdio:
        """Open the streams: the client's descriptors if `is_passed`, else the daemon's pipes.

        Raises OSError if no descriptors are left.
        """
        if not is_passed:
            passed.close()
        self._transport = Transport(
            passed if is_passed else None, is_held=self._remote.asked.is_push
        )
        return self._transport

    async def relay(
        self,
        command: Command,
        emit: Emit,
        grant: Grant,
        begin: Begin | None,
    ) -> Ended:
        """As `Command.relay`, over what was opened. Also raises Denied for a malformed push."""
        transport = self._transport
        if transport is None:
            raise TypeError(command)
        there = self._remote.asked.destination
        advice = LoginAdvice(emit, user=there.user, host=there.host, port=there.port)
        try:
            if begin is not None:
                await begin()
            ended = await self._relay(command, transport, advice.emit, grant)
        finally:
            outcome = replace(self._outcome, sent=transport.sent)
            outcome.report(self._remote.asked, self._tell, is_pinned=self._remote.is_pinned)
        if self._unsaid is not None:
            raise self._unsaid
        if self._fault is not None:
            raise refuse_words(self._fault)
        refusal = self._outcome.refusal
        if refusal is None:
            await advice.conclude(ended)
            return ended
        if not self._report:
            raise refuse_without_report(refusal)
        return Ended(0, None)

    async def _relay(
        self, command: Command, transport: Transport, emit: Emit, grant: Grant
    ) -> Ended:
        if not self._remote.asked.is_push:
            counted = Counted(emit)
            try:
                return await command.relay(counted.emit, grant)
            finally:
                if transport.is_streamed:
                    self._outcome = replace(self._outcome, received=counted.stdout)

        async def run(nursery: trio.Nursery) -> Ended:
            nursery.start_soon(self._pass_on, command, transport, emit)
            return await command.relay(emit, grant)

        return await run_with_others(run)

    async def _pass_on(self, command: Command, transport: Transport, emit: Emit) -> None:
        """Buffer the client's input until its list of refs is judged, then forward it."""
        try:
            may_go_on = await self._pass_list(transport, emit)
        except RemoteError as error:
            self._fault = error
            self._outcome = replace(self._outcome, decision="denied")
            may_go_on = False
        if self._outcome.decision == "denied":
            command.handle(Signal(name="SIGTERM"))
        elif may_go_on:
            with suppress(OSError):
                await transport.pass_rest(self._turns)

    async def _pass_list(self, transport: Transport, emit: Emit) -> bool:
        """Forward the list if it is granted; returns whether more input may follow it.

        Raises RemoteError for a malformed list. Releases the list afterwards: the rest of a push
        may take as long as its client wants.
        """
        held = BufferedBytes(self._requester.gate)
        try:
            push, said = await read_list(partial(_read, transport, self._turns), held)
            if push is None:
                transport.end_input()
                return False
            self._outcome = listed(push)
            refusals = await judge_and_approve(push, self._remote.asked, self._requester, emit)
            self._outcome = judged(self._outcome, refusals)
            if refusals:
                await self._refuse(push, refusals, transport, emit)
                return False
            with suppress(OSError):
                if push.updates:
                    await transport.write(said)
                else:
                    # Bytes after the list are not part of the push, and are never read.
                    await transport.write(b"0000")
                    transport.end_input()
            return bool(push.updates)
        finally:
            held.release()

    async def _refuse(
        self, push: PushList, refusals: Sequence[Refusal], transport: Transport, emit: Emit
    ) -> None:
        """Report the refusals while the client's pack is discarded.

        git reads the report after it has sent its pack, but may finish the pack only once it has
        the report. The program has sent all that precedes a list, and never receives one.
        """
        self._report = compose_report(push, refusals)
        async with trio.open_nursery() as nursery:
            if push.brings_pack:
                nursery.start_soon(self._drop, transport)
            try:
                await self._answer(transport, emit)
            except Exception as error:  # noqa: BLE001 - a nursery would put it into a group
                self._unsaid = error
                nursery.cancel_scope.cancel()

    async def _drop(self, transport: Transport) -> None:
        with suppress(OSError):
            await transport.drop_rest(self._turns, null=self._null)

    async def _answer(self, transport: Transport, emit: Emit) -> None:
        if transport.is_streamed:
            for at in range(0, len(self._report), PIECE):
                await emit("stdout", self._report[at : at + PIECE])
            return
        with suppress(OSError):
            await transport.answer(self._report, self._turns)


async def _read(transport: Transport, turns: TurnQueue) -> bytes:
    with of_its_stdin():
        return await transport.read(turns)
