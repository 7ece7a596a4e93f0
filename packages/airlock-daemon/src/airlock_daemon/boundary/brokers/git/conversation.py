"""Relays a conversation with a remote over ssh."""

import os
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
    OwnPipe,
    Requester,
    drop,
    of_its_stdin,
)
from airlock_daemon.boundary.brokers.ssh.session import LoginAdvice
from airlock_daemon.boundary.command import PIECE, Begin, Command, Emit, Ended, Grant, Stdio
from airlock_daemon.boundary.connection.descriptors import ClientDescriptors, Closer
from airlock_daemon.boundary.fairness import TurnQueue
from airlock_daemon.threads import run_with_others
from airlock_modules import PushList, Refusal, RemoteError, compose_report
from airlock_wire import Signal, Stream


class Transport(Stdio):
    """stdin and stdout are the client's own pipes, or pipes of the daemon; stderr is the daemon's.

    For a push (`is_held`) the client's input does not reach the program directly: `read` reads it;
    `write` and `pass_rest` forward it, or `drop_rest` discards it. `sent` counts the forwarded
    bytes. No method blocks in a system call.
    """

    def __init__(self, passed: ClientDescriptors | None, *, is_held: bool) -> None:
        """`passed` are the client's descriptors, the first two of them pipes; None to stream.

        Raises OSError if no descriptors are left.
        """
        super().__init__()
        self._passed = passed
        self._closer = Closer() if passed is None else passed.closer
        self._is_held = is_held
        self.sent = 0
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        if self._passed is not None:
            client, answers = self._passed.numbers[:2]
            if self._is_held:
                client, answers = (self._keep(os.dup(number)) for number in (client, answers))
        else:
            client, answers = self._open_input(), self._open_output("stdout")
        self._client, self._answers = client, answers
        stdin = client
        if self._is_held:
            stdin, self._program = (self._keep(end) for end in os.pipe())
            # One per direction: a cancelled splice may hold a pipe's lock indefinitely.
            self._own, self._reply = (
                OwnPipe(*map(self._keep, os.pipe()), by=self._closer) for _ in range(2)
            )
            # A pipe holds as little as two pages if its user has many pipes (pipe(7)).
            os.set_blocking(self._program, False)
        self.standard = (stdin, answers, self._open_output("stderr"))

    @property
    def is_streamed(self) -> bool:
        """Whether stdin and stdout pass through the daemon."""
        return self._passed is None

    def hand_over(self) -> None:
        """Close the client's descriptors; a push keeps its own copies."""
        if self._passed is not None:
            self._passed.close(is_usable=True)

    async def read(self, turns: TurnQueue) -> bytes:
        """Read the client's next bytes, b"" at the end."""
        return await self._own.read(self._client, turns)

    async def write(self, data: bytes) -> None:
        """Write to the program's stdin. Raises OSError if it has ended."""
        view = memoryview(data)
        while view:
            try:
                count = os.write(self._program, view)
                self.sent += count
                view = view[count:]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._program)

    async def pass_rest(self, turns: TurnQueue) -> None:
        """Forward the client's input up to EOF. Raises OSError if the program has ended."""
        while data := await self.read(turns):
            await self.write(data)
        self.end_input()

    async def drop_rest(self, turns: TurnQueue, *, null: int) -> None:
        """Discard the client's input up to EOF. `null` is open /dev/null."""
        await drop(self._client, null, turns, by=self._closer)

    async def answer(self, data: bytes, turns: TurnQueue) -> None:
        """Write to the client's stdout, as the remote would. Raises OSError if it is closed."""
        await self._reply.write(self._answers, data, turns)

    def close(self) -> None:
        """As `Stdio.close`, without waiting for a holder of a client pipe's lock."""
        self._closer.close(self._descriptors, is_usual=True)
        self._descriptors.clear()
        super().close()

    def end_input(self) -> None:
        """Close the program's stdin."""
        if self._program >= 0:
            self._descriptors.remove(self._program)
            os.close(self._program)
            self._program = -1


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

    def open(self, passed: ClientDescriptors, *, is_passed: bool) -> Transport:
        """Open the streams: the client's descriptors if `is_passed`, else the daemon's pipes.

        Raises OSError if no descriptors are left.
        """
        if not is_passed:
            passed.close()
        return Transport(passed if is_passed else None, is_held=self._remote.asked.is_push)

    async def relay(
        self,
        command: Command,
        transport: Transport,
        emit: Emit,
        grant: Grant,
        begin: Begin | None,
    ) -> Ended:
        """As `Command.relay`. Also raises Denied for a malformed push."""
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


class Counted:
    """An `emit` that forwards everything; `stdout` counts the bytes of stdout."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.stdout = 0

    async def emit(self, stream: Stream, data: bytes) -> None:
        """Forward the data."""
        if stream == "stdout":
            self.stdout += len(data)
        await self._emit(stream, data)
