"""A worker: the process that serves one agent's connections to APIs.

It holds the key of the agent's CA, and a credential only during a request that uses it. The daemon
decides what is allowed.
"""

import itertools
import os
import socket
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus

import trio

import airlock_daemon.boundary.brokers.http.proxy  # noqa: F401 - once, for all workers
from airlock_daemon.boundary.brokers.egress.destinations import Network, read_network, refusal
from airlock_daemon.boundary.brokers.http import Trust
from airlock_daemon.boundary.brokers.https.authority import Authority, open_key, read_system
from airlock_daemon.boundary.brokers.https.aws import AwsContext, Sessions
from airlock_daemon.boundary.brokers.https.confinement import confine
from airlock_daemon.boundary.brokers.https.conversation import Daemon, ServedApi
from airlock_daemon.boundary.brokers.https.incoming import PIECE, Spool
from airlock_daemon.boundary.brokers.https.messages import (
    Answer,
    Channel,
    Connection,
    Ended,
    Over,
    Question,
    Reachable,
    Ready,
    Settings,
    ToDaemon,
    ToWorker,
    Unready,
)
from airlock_daemon.boundary.brokers.https.scopes import Scopes
from airlock_daemon.boundary.brokers.https.service import Authorities
from airlock_daemon.boundary.brokers.https.splicing import send_final
from airlock_daemon.boundary.brokers.https.tunnel import Policy, Tunnel
from airlock_daemon.errors import AirlockError
from airlock_daemon.threads import run_in_thread
from airlock_modules.apis.uploads import Seal

# Concurrent name lookups.
_LOOKUPS = 8
# GraphQL is judged from bodies of up to 1 MiB in memory; more of them wait.
_JUDGED = 16


async def serve_agent(pair: socket.socket) -> None:
    """Serve what the daemon sends over its end of a socket pair, until that is closed."""
    channel: Channel[ToWorker, ToDaemon] = Channel(pair, receives=ToWorker)
    await _Worker(channel).run()


class _Bulk:
    """Turns for bulk transfers: one of them proceeds per round of the event loop.

    trio runs every runnable task before it polls for I/O, so many transfers in one round would
    delay each step of a small request.
    """

    def __init__(self) -> None:
        self._turn = trio.Lock()

    async def take(self) -> None:
        """Wait for a turn, at least one round."""
        try:
            # `acquire` alone would be another checkpoint.
            self._turn.acquire_nowait()
        except trio.WouldBlock:
            await self._turn.acquire()
        try:
            await trio.lowlevel.checkpoint()
        finally:
            self._turn.release()


class _PendingQuestion:
    """A question that awaits its answer."""

    def __init__(self) -> None:
        self._answers: list[Answer] = []
        self._is_answered = trio.Event()

    def answer(self, answer: Answer) -> None:
        """Give `wait` the answer."""
        self._answers.append(answer)
        self._is_answered.set()

    async def wait(self) -> Answer:
        """Wait for the answer."""
        await self._is_answered.wait()
        return self._answers[0]


class _Worker:
    def __init__(self, channel: Channel[ToWorker, ToDaemon]) -> None:
        self._channel = channel
        self._turns = _Bulk()
        self._threads = trio.CapacityLimiter(_LOOKUPS)
        self._is_confined = False
        self._tunnels: set[Tunnel] = set()
        self._serving: dict[int, trio.CancelScope] = {}
        # What each connection may reach in addition to the policy's network.
        self._more: dict[int, Network] = {}
        self._pending: dict[int, _PendingQuestion] = {}
        # The agent may briefly have two workers, so numbers include the pid.
        numbers = itertools.count((os.getpid() << 32) + 1)
        self._daemon = Daemon(ask=self._ask, number=lambda: next(numbers), report=self._tell)

    async def run(self) -> None:
        policy: Policy | AirlockError = AirlockError(
            "the HTTPS broker has no settings yet", hint="try again"
        )
        async with trio.open_nursery() as nursery:
            while (received := await self._channel.receive()) is not None:
                message, descriptor = received
                if isinstance(message, Connection) and descriptor is not None:
                    connection = socket.socket(fileno=descriptor)
                    self._more[message.number] = read_network(message.network)
                    scope = self._serving[message.number] = trio.CancelScope()
                    nursery.start_soon(self._serve, connection, message.number, policy, scope)
                elif descriptor is not None:
                    os.close(descriptor)
                elif isinstance(message, Settings):
                    policy = await self._follow(message, policy)
                elif isinstance(message, Reachable):
                    self._narrow(message)
                elif isinstance(message, Answer) and message.question in self._pending:
                    self._pending.pop(message.question).answer(message)
                elif isinstance(message, Over) and message.connection in self._serving:
                    # Its tasks may wait long for the daemon or the service.
                    self._serving[message.connection].cancel()
            nursery.cancel_scope.cancel()

    def _narrow(self, message: Reachable) -> None:
        if message.connection in self._more:
            more = self._more[message.connection] = read_network(message.network)
            for tunnel in self._tunnels:
                if tunnel.number == message.connection:
                    tunnel.narrow(more)

    async def _follow(
        self, settings: Settings, before: Policy | AirlockError
    ) -> Policy | AirlockError:
        """Adopt new settings.

        Running requests continue; opaque connections continue if they are still granted.
        """
        authority = before.authority if isinstance(before, Policy) else None
        try:
            if not self._is_confined:
                # Before any thread exists, which would keep the dropped privileges.
                confine(settings)
                self._is_confined = True
            policy = await run_in_thread(
                lambda: _make_policy(settings, authority, self._threads), limiter=self._threads
            )
        except AirlockError as error:
            await self._tell(Unready(message=error.message, hint=error.hint))
            return error
        for tunnel in self._tunnels:
            tunnel.follow(policy)
        await self._tell(Ready(fingerprint=policy.authority.fingerprint))
        return policy

    async def _serve(
        self,
        connection: socket.socket,
        number: int,
        policy: Policy | AirlockError,
        scope: trio.CancelScope,
    ) -> None:
        """Serve a connection until `scope` is cancelled. Its failure ends no other connection."""
        connection.setblocking(False)
        # Room for a piece of a long answer behind another one.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * PIECE)
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(connection))
        try:
            with scope:
                await self._speak(stream, number, policy)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        except Exception as error:  # noqa: BLE001 - the others go on
            _report(error)
        finally:
            del self._serving[number], self._more[number]
            await trio.aclose_forcefully(stream)
            with trio.CancelScope(shield=True), suppress(trio.BrokenResourceError):
                await self._tell(Ended(connection=number))

    async def _speak(
        self, stream: trio.SocketStream, number: int, policy: Policy | AirlockError
    ) -> None:
        if isinstance(policy, AirlockError):
            text = f"{policy.message}; {policy.hint}" if policy.hint else policy.message
            await send_final(stream, refusal(HTTPStatus.SERVICE_UNAVAILABLE, text))
            return
        more = self._more[number]
        tunnel = Tunnel(stream, number, policy, more, self._daemon, self._turns)
        self._tunnels.add(tunnel)
        try:
            await tunnel.run()
        finally:
            self._tunnels.discard(tunnel)

    async def _ask(self, question: Question, body: int | None) -> Answer:
        asked = self._pending[question.question] = _PendingQuestion()
        try:
            await self._channel.send(question, body)
            return await asked.wait()
        finally:
            self._pending.pop(question.question, None)

    async def _tell(self, message: ToDaemon) -> None:
        await self._channel.send(message)


def _make_policy(
    settings: Settings, before: Authority | None, threads: trio.CapacityLimiter
) -> Policy:
    """Read settings, and publish the CA's files. Raises AirlockError."""
    hosts = frozenset(host for api in settings.apis for host in api.hosts)
    authority = Authority(settings.agent, open_key(settings.keys), hosts)
    if before is not None and before.identity == authority.identity:
        # Keep the cached leaves.
        authority = before
    authority.publish(
        settings.published, read_system(Trust.read({}, settings.variables).make_context())
    )
    sessions = Sessions(settings.agent, authority.derive("sessions of AWS"))
    aws = AwsContext(sessions, Spool(os.path.dirname(settings.keys)))
    judged = trio.Semaphore(_JUDGED)
    return Policy(
        apis=tuple(
            ServedApi(
                api=api,
                placeholder=settings.placeholders.get(api.name, ""),
                aws=aws,
                judged=judged,
                scopes=Scopes(api),
                seal=Seal(authority.derive(f"uploads of {api.name}")),
                fingerprint=api.fingerprint,
            )
            for api in settings.apis
        ),
        network=read_network(settings.network),
        variables=settings.variables,
        authority=authority,
        authorities=Authorities(settings.variables, threads),
        lookups=threads,
    )


def _report(error: BaseException) -> None:
    """Print where a fault is. Its message could contain part of a request, so omit it."""
    print(
        "airlock: a fault of the HTTPS broker ended one connection; please report it:",
        file=sys.stderr,
    )
    for each in _flatten(error):
        print(f"{type(each).__name__}", *traceback.format_tb(each.__traceback__), file=sys.stderr)


def _flatten(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _flatten(each)
    else:
        yield error
