"""A push over ssh that a person may have to approve, in two connections to the remote.

A forge drops a connection that is silent for minutes. So the first one only gets the remote's refs,
for the client to choose from. Once the push is judged and approved, the second one gets the list of
updates, with the ids that were approved: the remote itself compares the old ones with its refs.
"""

import re
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress

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
from airlock_daemon.boundary.brokers.requester import BufferedBytes, Requester, Streams
from airlock_daemon.boundary.brokers.ssh.session import LoginAdvice
from airlock_daemon.boundary.command import (
    PIECE,
    Command,
    Emit,
    Ended,
    Launcher,
    Piped,
)
from airlock_modules import PushList, Refusal, RemoteError, compose_report
from airlock_wire import StdinData, StdinEnd, Stream

_FLUSH = b"0000"
_LENGTH = 4
# A flush, or the length of a packet with these digits.
_PKT_LENGTH = re.compile(rb"0000|(?!000[0-3])[0-9A-Fa-f]{4}")
# Bytes of a push that are on their way to ssh.
_CREDIT = 1 << 18
# git's own exit status when a remote fails.
_FAILED = 128

Sink = Callable[[bytes], Awaitable[None]]


class PatientPush:
    """One push. `tell` is called once with the outcome."""

    def __init__(
        self,
        remote: SshRemote,
        requester: Requester,
        launcher: Launcher,
        *,
        tell: Report,
    ) -> None:
        self._remote = remote
        self._line = remote.build_line(requester)
        self._requester = requester
        self._launcher = launcher
        self._tell = tell
        self._outcome = Outcome(decision="allowed")

    async def run(self, streams: Streams, emit: Emit) -> Ended:
        """Run it; `emit` gets text for stderr.

        Raises Denied for a malformed push, and for a refused one whose client can be told nothing;
        Failed if ssh cannot be started.
        """
        try:
            return await self._run(streams, emit)
        except RemoteError as error:
            self._outcome = replace(self._outcome, decision="denied")
            raise refuse_words(error) from error
        except OSError:
            # The client has closed its stdout.
            return Ended(_FAILED, None)
        finally:
            self._outcome.report(self._remote.asked, self._tell, is_pinned=self._remote.is_pinned)

    async def _run(self, streams: Streams, emit: Emit) -> Ended:
        async def end(feed: "_Feed") -> None:
            await feed.send(_FLUSH)

        ended = await self._connect(streams.write, end, emit)
        if ended.exit_code != 0:
            return ended
        held = BufferedBytes(self._requester.gate)
        try:
            push, said = await read_list(streams.read, held)
            if push is None:
                return ended
            self._outcome = listed(push)
            if not push.updates:
                self._outcome = judged(self._outcome, ())
                return ended
            refusals = await judge_and_approve(push, self._remote.asked, self._requester, emit)
            self._outcome = judged(self._outcome, refusals)
            if refusals:
                await self._refuse(push, refusals, streams)
                return Ended(0, None)
        finally:
            held.release()

        async def send(feed: "_Feed") -> None:
            await feed.send(said)
            while push.brings_pack and (data := await streams.read()):
                await feed.send(data)

        return await self._connect(WithoutRefs(streams.write).take, send, emit)

    async def _refuse(self, push: PushList, refusals: list[Refusal], streams: Streams) -> None:
        """Report the refusals while the client's pack is discarded, as git needs it."""
        report = compose_report(push, refusals)
        if not report:
            raise refuse_without_report(refusals[0])
        unsaid: OSError | None = None
        async with trio.open_nursery() as nursery:
            if push.brings_pack:
                nursery.start_soon(_drop, streams)
            try:
                await streams.write(report)
            except OSError as error:
                # A nursery would put it into a group.
                unsaid = error
                nursery.cancel_scope.cancel()
        if unsaid is not None:
            raise unsaid

    async def _connect(
        self, take: Sink, send: "Callable[[_Feed], Awaitable[None]]", emit: Emit
    ) -> Ended:
        """Run ssh to its end: `take` gets its stdout, and `send` writes its stdin."""
        there = self._remote.asked.destination
        advice = LoginAdvice(emit, user=there.user, host=there.host, port=there.port)
        turns = self._requester.turns

        async def pass_on(stream: Stream, data: bytes) -> None:
            if stream == "stdout":
                await take(data)
            else:
                await advice.emit(stream, data)

        outcome: Ended | Exception
        with closing(Piped(has_input=True)) as stdio:
            launch = await self._launcher.launch(self._line, stdio.standard)
            command = Command(launch, stdio, turns, ahead=PIECE, credit=_CREDIT)
            feed = _Feed(command)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(feed.run, send, nursery.cancel_scope)
                    try:
                        outcome = await command.relay(pass_on, feed.grant)
                    except Exception as error:  # noqa: BLE001 - a nursery would put it into a group
                        outcome = error
                    nursery.cancel_scope.cancel()
            finally:
                await command.finish()
                self._outcome = replace(self._outcome, sent=self._count(feed))
        if feed.fault is not None:
            raise feed.fault
        if isinstance(outcome, Exception):
            raise outcome
        await advice.conclude(outcome)
        return outcome

    def _count(self, feed: "_Feed") -> int:
        """The bytes of the push that were sent; the first connection sends none of it."""
        return 0 if self._outcome.count is None else feed.sent


class _Feed:
    """The stdin of ssh, with at most `_CREDIT` bytes and a piece on their way."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self._under_way = 0
        self._has_room = trio.Event()
        self.sent = 0
        self.fault: Exception | None = None

    async def run(
        self, send: "Callable[[_Feed], Awaitable[None]]", scope: trio.CancelScope
    ) -> None:
        """Have `send` write, then close stdin. An error ends `scope`, and is kept in `fault`."""
        try:
            await send(self)
            self._command.handle(StdinEnd())
        except Exception as error:  # noqa: BLE001 - raised again once ssh has ended
            self.fault = error
            scope.cancel()

    async def send(self, data: bytes) -> None:
        """Write to stdin; waits while too much is on its way."""
        for at in range(0, len(data), PIECE):
            piece = data[at : at + PIECE]
            self._command.handle(StdinData(data=piece))
            self.sent += len(piece)
            self._under_way += len(piece)
            while self._under_way > _CREDIT:
                self._has_room = trio.Event()
                await self._has_room.wait()

    async def grant(self, count: int) -> None:
        """Note that ssh has taken so many bytes."""
        self._under_way -= count
        self._has_room.set()


class WithoutRefs:
    """Passes on what follows a remote's list of refs, which the client has already."""

    def __init__(self, write: Sink) -> None:
        self._write = write
        self._held = b""
        self._left = 0
        self._is_over = False

    async def take(self, data: bytes) -> None:
        """Take the next bytes of the remote. Raises what `write` raises, and RemoteError."""
        if not self._is_over:
            data = self._drop(self._held + data)
        if data:
            await self._write(data)

    def _drop(self, data: bytes) -> bytes:
        """Drop packets up to the first flush; returns what follows it."""
        at = 0
        while not self._is_over:
            skipped = min(self._left, len(data) - at)
            at += skipped
            self._left -= skipped
            digits = data[at : at + _LENGTH]
            if self._left or len(digits) < _LENGTH:
                self._held = data[at:]
                return b""
            if _PKT_LENGTH.fullmatch(digits) is None:
                raise RemoteError("the remote lists no refs", rule="pkt-line")
            self._left = int(digits, 16)
            self._is_over = self._left == 0
            if self._is_over:
                at += _LENGTH
        self._held = b""
        return data[at:]


async def _drop(streams: Streams) -> None:
    with suppress(OSError, RemoteError):
        await streams.drop()
