"""A worker of the HTTPS broker, in the daemon: its connections and its questions."""

import itertools
import math
import os
import socket
from collections.abc import Callable
from contextlib import suppress

import msgspec
import trio

from airlock_daemon.boundary.brokers.https.messages import (
    Answer,
    Channel,
    Connection,
    Ended,
    Finished,
    Over,
    Question,
    Reachable,
    Ready,
    Refused,
    Settings,
    Spent,
    Spliced,
    ToDaemon,
    ToWorker,
    Unready,
    read_sealed,
)
from airlock_daemon.errors import AND_RELOAD, LOOK_AT_MESSAGES, Denied, Failed
from airlock_daemon.serving.request import AgentState, Caller, DaemonState, log
from airlock_daemon.serving.request.https import Operations
from airlock_daemon.serving.session import Cancellation, Reason
from airlock_wire import escape

IDLE_S = 120.0
"""Seconds after which a worker without connections ends."""

# Characters that are logged of a text of the process.
_SAID = 1000

# The most questions per connection: a client sends its requests one after another.
_MAX_ASKED = 4

STOPPED = "the daemon stopped"
_STOPPING = Failed("the daemon is stopping", hint="try again when it runs again")
REMOVED = Denied(
    "APIs are not granted to this agent any more",
    layer="profile",
    rule="registration",
    hint="a person on the host can register the agent again, or grant them in its airlock.toml"
    + AND_RELOAD,
)
"""The refusal for an agent that has no APIs any more."""


class Worker:
    """One process that talks to an agent's clients and APIs. A task must `run` it."""

    def __init__(
        self,
        pair: socket.socket,
        settings: Settings,
        operations: Operations,
        *,
        agent: AgentState,
        shared: DaemonState,
    ) -> None:
        """Takes ownership of `pair`, our end of its socket pair."""
        self._channel: Channel[ToDaemon, ToWorker] = Channel(
            pair, receives=ToDaemon, close_all=agent.closer.close
        )
        self._operations = operations
        self._agent = agent
        self._shared = shared
        self._settings = settings
        self._is_new = trio.Event()
        self._is_new.set()
        # Set once the process has answered the latest settings.
        self._is_settled = trio.Event()
        self._unanswered = 0
        self._problem: Unready | None = None
        self._numbers = itertools.count(1)
        self._open: dict[int, _Open] = {}
        # The connections of questions in progress.
        self._asked: dict[int, _Open] = {}
        # The numbers of connections that ended here, still to be sent to the process.
        self._over: list[int] = []
        self._is_some_over = trio.Event()
        self._reason: Reason | None = None
        self._is_retired = False
        self._scope = trio.CancelScope()
        self.is_over = False

    def renew(self, settings: Settings) -> None:
        """Send it other settings; running operations continue."""
        self._settings = settings
        self._is_new.set()
        before, self._is_settled = self._is_settled, trio.Event()
        # Its waiters then wait for the new event.
        before.set()

    def retire(self, settings: Settings) -> None:
        """As `renew`, and end once its connections have ended."""
        self.renew(settings)
        self._is_retired = True
        self._rest()

    def stop(self, reason: Reason) -> None:
        """Grant nothing more, and end each connection once nothing runs on it."""
        self._reason = reason
        self.review()
        for opened in list(self._open.values()):
            self._end_if_idle(opened)
        self._rest()

    def review(self) -> None:
        """End the connections with an operation that is not granted any more."""
        for question in self._operations.find_revoked(is_removed=self._reason == "removed"):
            self._revoke(question)

    def _revoke(self, question: int) -> None:
        if question in self._asked:
            self._asked[question].cancellation.end("removed")

    async def run(self) -> bool:
        """Serve until the process ends, is idle for IDLE_S, or is stopped.

        Returns whether it ended by itself.
        """
        self._rest()
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._send_settings)
                    nursery.start_soon(self._send_over)
                    await self._receive(nursery)
                    nursery.cancel_scope.cancel()
        except Exception:  # noqa: BLE001 - one agent's worker must not end the others'
            log.exception("a fault of the daemon ended a worker; please report it")
        finally:
            self.is_over = True
            self._channel.close()
            self._is_settled.set()
            for opened in self._open.values():
                opened.is_over.set()
        return not self._scope.cancelled_caught

    async def converse(
        self,
        descriptor: int,
        caller: Caller,
        cancellation: Cancellation,
        *,
        network: Callable[[], tuple[str, ...]] = tuple,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """Pass it a connection, and wait for its end; the caller keeps the descriptor.

        The connection may reach `network` too, and `tell` gets the reasons of refusals. Raises
        Failed if the process could not start on it.
        """
        number = next(self._numbers)
        opened = self._open[number] = _Open(caller, cancellation, tell, network)
        self._scope.deadline = math.inf
        try:
            await self.settle()
            try:
                opened.told = network()
                message = Connection(number=number, network=opened.told)
                await self._channel.send(message, descriptor)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise _ended() from None
            await opened.is_over.wait()
        finally:
            if not opened.is_over.is_set():
                # The process has its own descriptor.
                with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
                    connection.shutdown(socket.SHUT_RDWR)
                self._over.append(number)
                self._is_some_over.set()
            self._close(number)

    async def narrow(self) -> None:
        """Send it what boxed connections may reach now, if that changed."""
        with suppress(trio.BrokenResourceError):
            for number, opened in list(self._open.items()):
                network = opened.network()
                if opened.told is not None and opened.told != network:
                    opened.told = network
                    await self._channel.send(Reachable(connection=number, network=network))

    async def settle(self) -> None:
        """Wait until the process has published what its latest settings need.

        Raises Failed if it could not.
        """
        while not (self._is_settled.is_set() or self.is_over):
            await self._is_settled.wait()
        if self.is_over:
            raise _ended()
        if self._problem is not None:
            raise Failed(self._problem.message, hint=self._problem.hint)

    def _close(self, number: int) -> None:
        opened = self._open.pop(number)
        self._shared.running.discard(opened.cancellation)
        for question, scope in opened.asked.items():
            scope.cancel()
            del self._asked[question]
            self._operations.abort(question, self._tell_end(opened))
        self._rest()

    def _tell_end(self, opened: "_Open") -> str:
        if opened.cancellation.reason == "stop":
            return STOPPED
        if opened.cancellation.reason == "removed":
            return "it is not granted any more"
        return "the process of the HTTPS broker ended" if self.is_over else Operations.HUNG_UP

    def _rest(self) -> None:
        """Without connections: end after IDLE_S, or at once if none will come."""
        if not self._open:
            wait = 0.0 if self._reason or self._is_retired else IDLE_S
            self._scope.deadline = trio.current_time() + wait

    def _end_if_idle(self, opened: "_Open") -> None:
        if self._reason is not None and not opened.asked and not self._may_go_on(opened):
            opened.cancellation.end(self._reason)

    def _may_go_on(self, opened: "_Open") -> bool:
        """Whether it may start operations: a box's command may while the daemon stops."""
        return self._reason is None or (self._reason == "stop" and opened.is_boxed)

    async def _send_settings(self) -> None:
        # If the process has ended, `_receive` notices.
        with suppress(trio.BrokenResourceError):
            while True:
                await self._is_new.wait()
                self._is_new = trio.Event()
                self._unanswered += 1
                try:
                    await self._channel.send(self._settings)
                except Failed as error:
                    self._take_answer(Unready(message=error.message, hint=error.hint))

    async def _send_over(self) -> None:
        """Have the process drop connections that ended here: it may wait for their answers."""
        with suppress(trio.BrokenResourceError):
            while True:
                await self._is_some_over.wait()
                self._is_some_over = trio.Event()
                while self._over:
                    await self._channel.send(Over(connection=self._over.pop(0)))

    async def _receive(self, nursery: trio.Nursery) -> None:
        while True:
            try:
                received = await self._channel.receive()
            except msgspec.MsgspecError:
                log.error(
                    "agent %s: its worker says what is no message, and is ended; please report it",
                    self._name,
                )
                return
            if received is None:
                return
            message, descriptor = received
            body = b""
            if descriptor is not None:
                try:
                    body = read_sealed(descriptor)
                except (OSError, ValueError) as error:
                    log.error(
                        "agent %s: its worker sends what is no body (%s), and is ended; please "
                        "report it",
                        *(self._name, error),
                    )
                    return
                finally:
                    self._agent.closer.close((descriptor,))
            if not self._take(message, body, nursery):
                log.error(
                    "agent %s: its worker says more than it may, and is ended; please report it",
                    self._name,
                )
                return
            await self._agent.turns.take()

    def _take(self, message: ToDaemon, body: bytes, nursery: trio.Nursery) -> bool:
        """Whether the process may say this now: some messages are for one occasion each."""
        match message:
            case Ready() | Unready():
                if not self._unanswered:
                    return False
                self._take_answer(message if isinstance(message, Unready) else None)
                if isinstance(message, Ready) and self._agent.bridge is not None:
                    self._agent.bridge.renew()
            case Question():
                opened = self._open.get(message.connection)
                if opened is not None:
                    return self._begin(message, body, opened, nursery)
            case Finished():
                self._operations.finish(message)
                self._forget(message.question)
            case Spent():
                self._operations.spend(message)
            case Refused() | Spliced() | Ended():
                opened = self._open.get(message.connection)
                if opened is not None:
                    return self._note(message, opened)
        return True

    def _take_answer(self, problem: Unready | None) -> None:
        """Note the answer to settings; answers come in the order of sending."""
        self._unanswered -= 1
        self._problem = problem
        if self._unanswered == 0 and not self._is_new.is_set():
            self._is_settled.set()
        if problem is not None:
            # On one line: a client that has broken the process could forge others.
            words = (escape(each[:_SAID], keep='"\\') for each in (problem.message, problem.hint))
            log.error("agent %s: %s; %s", self._name, *words)

    def _note(self, message: Refused | Spliced | Ended, opened: "_Open") -> bool:
        match message:
            case Refused():
                self._operations.note_refused(message, opened.caller)
                if opened.tell is not None and not message.method:
                    opened.tell(message.reason)
            case Spliced():
                if opened.is_spliced:
                    return False
                opened.is_spliced = True
                self._operations.note_spliced(message, opened.caller)
            case Ended():
                opened.is_over.set()
        return True

    def _begin(
        self, question: Question, body: bytes, opened: "_Open", nursery: trio.Nursery
    ) -> bool:
        if question.question in self._asked or len(opened.asked) >= _MAX_ASKED:
            return False
        self._asked[question.question] = opened
        scope = opened.asked[question.question] = trio.CancelScope()
        self._shared.running.add(opened.cancellation)
        answer = None
        if self._may_go_on(opened):
            answer = self._operations.judge_now(question, opened.caller)
        # Most need no task, which would cost as much as all the rest.
        if answer is None or not self._channel.send_now(answer):
            nursery.start_soon(self._answer, question, body, opened, scope, answer)
        return True

    async def _answer(
        self,
        question: Question,
        body: bytes,
        opened: "_Open",
        scope: trio.CancelScope,
        answer: Answer | None,
    ) -> None:
        with scope, suppress(trio.BrokenResourceError):
            answer = answer or await self._judge(question, body, opened)
            await self._channel.send(answer)
            if answer.refusal is not None or answer.wants_content:
                self._forget(question.question)

    async def _judge(self, question: Question, body: bytes, opened: "_Open") -> Answer:
        if not self._may_go_on(opened):
            error = _STOPPING if self._reason == "stop" else REMOVED
            return self._operations.refuse(question, opened.caller, error)
        answer = await self._operations.judge(question, opened.caller, body)
        # The agent may have been removed while the credential was fetched.
        if self._operations.is_revoked(question.question, is_removed=self._reason == "removed"):
            self._revoke(question.question)
        if self._asked.get(question.question) is not opened:
            # The connection has ended meanwhile.
            self._operations.abort(question.question, self._tell_end(opened))
        return answer

    def _forget(self, question: int) -> None:
        """Note that a question has ended."""
        opened = self._asked.pop(question, None)
        if opened is None:
            return
        del opened.asked[question]
        if not opened.asked:
            self._shared.running.discard(opened.cancellation)
            self._end_if_idle(opened)

    @property
    def _name(self) -> str:
        return self._agent.generation.agent.name


class _Open:
    """A connection that the process serves, and the scopes of its questions."""

    def __init__(
        self,
        caller: Caller,
        cancellation: Cancellation,
        tell: Callable[[str], None] | None,
        network: Callable[[], tuple[str, ...]],
    ) -> None:
        self.network = network
        self.is_spliced = False
        # The network last sent to the process, None before it has the connection.
        self.told: tuple[str, ...] | None = None
        self.caller = caller
        self.cancellation = cancellation
        self.tell = tell
        self.is_over = trio.Event()
        self.asked: dict[int, trio.CancelScope] = {}

    @property
    def is_boxed(self) -> bool:
        """Whether it comes from a command's box."""
        return self.caller.request is not None


def _ended() -> Failed:
    return Failed(
        "the process of the HTTPS broker has ended",
        hint=f"try again in a second; {LOOK_AT_MESSAGES}",
    )
