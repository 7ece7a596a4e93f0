"""The `https.sock` of agents: who connects is looked at here, and passed on to a worker."""

import os
import socket
from contextlib import suppress
from http import HTTPStatus

import trio
from msgspec.structs import replace

from airlock_daemon.brokers.egress.head import refusal
from airlock_daemon.brokers.egress.splicing import say_last
from airlock_daemon.brokers.https.messages import Settings
from airlock_daemon.command.environment import BASE
from airlock_daemon.connection.descriptors import drop_unread
from airlock_daemon.connection.ending import Ending, Reason
from airlock_daemon.errors import AirlockError, Denied, Failed, full_table, is_full_table
from airlock_daemon.identity.engine_sockets import refuse_engine_socket
from airlock_daemon.identity.peer import identify, refuse_own
from airlock_daemon.platform.linux.peer import peer_credentials
from airlock_daemon.platform.threads import run_in_thread
from airlock_daemon.request.https import Caller, Operations
from airlock_daemon.request.sources import Sources
from airlock_daemon.request.state import AgentState, DaemonState, log
from airlock_daemon.serving.clients import describe_peer
from airlock_daemon.serving.https_parent import Parent
from airlock_daemon.serving.https_worker import Worker
from airlock_daemon.setup.client import describe_client, find_placeholders, publish_client
from airlock_daemon.setup.state import State
from airlock_daemon.setup.stored import find_placeholder_key

# No worker is started sooner after one that has ended by itself.
_REST_S = 1.0


class HttpsBroker:
    """What the agents' services share. A task must `run` it."""

    def __init__(self, shared: DaemonState, state: State, *, sockets_dir: str) -> None:
        """`shared` stays its owner's."""
        self.shared = shared
        self.state = state
        self.sockets_dir = sockets_dir
        self.parent = Parent(shared.environment)
        self.sources = Sources(shared, state)
        self._services: list[HttpsService] = []
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """Watch over the processes until cancelled, and end them then."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.parent.run)
            nursery.start_soon(self.sources.forget_unused)
            self._nursery = nursery
            self.renew()

    def serve(self, agent: AgentState) -> "HttpsService":
        """What serves the connections of an agent; `renew` is to be called when it is wanted."""
        service = HttpsService(self, agent)
        self._services.append(service)
        return service

    def renew(self) -> None:
        """Publish for each agent what its containers need, where that has changed."""
        self._services = [each for each in self._services if not each.is_stopped]
        if self._nursery is not None:
            for service in self._services:
                self._nursery.start_soon(service.publish)

    def start(self, service: "HttpsService", worker: Worker) -> None:
        """Have a task run a worker of a service."""
        if self._nursery is not None:
            self._nursery.start_soon(service.run, worker)


class HttpsService:
    """Serves the connections to one agent's `https.sock`, by a worker that is started for them."""

    def __init__(self, broker: HttpsBroker, agent: AgentState) -> None:
        self._broker = broker
        self._shared = broker.shared
        self._agent = agent
        self._operations = Operations(broker.shared, agent, broker.sources)
        self._worker: Worker | None = None
        self._settings: Settings | None = None
        self._turn = trio.Lock()
        self._not_before = -1.0
        self._reason: Reason | None = None
        self._silent: set[Ending] = set()

    @property
    def is_stopped(self) -> bool:
        """Whether nothing is begun any more."""
        return self._reason is not None

    def stop(self, reason: Reason) -> None:
        """As `Service.stop`; what runs goes on."""
        self._reason = reason
        for ending in list(self._silent):
            ending.end(reason)
        if self._worker is not None:
            self._worker.stop(reason)

    def put(self, error: Denied) -> bytes:
        """As `Service.put`."""
        return _write_answer(error)

    async def serve(self, connection: socket.socket, *, is_turn: bool = False) -> None:
        """As `Service.serve`."""
        ending = Ending()
        if self._reason is not None:
            ending.end(self._reason)
        try:
            with ending.scope:
                if not is_turn:
                    await self._agent.turns.take()
                if await self._wait_first(connection, ending):
                    await self._converse(connection, ending)
        except Exception:  # noqa: BLE001 - whatever went wrong
            # One connection must not end the others'.
            log.exception("a fault of the daemon ended a connection; please report it")
        finally:
            # The worker may have ended before it took what the client has sent along.
            drop_unread(connection, self._agent.closer)
            connection.close()
            self._agent.gate.disconnect()

    async def publish(self) -> None:
        """Have the agent's CA and variables published, where its APIs have changed."""
        if self._worker is not None:
            self._worker.review()
        try:
            async with self._turn:
                settings = await run_in_thread(self._make_settings)
                if settings == self._settings:
                    return
                if self._worker is None or self._worker.is_over:
                    await self._start(settings)
                else:
                    self._worker.renew(settings)
                self._settings = settings
        except AirlockError as error:
            log.error("agent %s: its APIs are not served: %s; %s", self._name, error, error.hint)
        except Exception:  # noqa: BLE001 - the other agents' are served
            log.exception("a fault of the daemon keeps an agent's APIs from it; please report it")

    async def run(self, worker: Worker) -> None:
        """Run a worker to its end."""
        if await worker.run():
            self._not_before = trio.current_time() + _REST_S
            log.error(
                "agent %s: its worker has ended, and its connections are cut; please report what "
                "it has said before, unless somebody has killed it",
                self._name,
            )

    async def _wait_first(self, connection: socket.socket, ending: Ending) -> bool:
        """Wait until a client has said something; False where it closes or keeps silent.

        It costs no worker until then, nor does who only looks whether somebody listens.
        """
        self._silent.add(ending)
        try:
            with trio.move_on_after(self._agent.gate.limits.request_s):
                while True:
                    with suppress(BlockingIOError):
                        # Descriptors that ride on it stay where they are.
                        return bool(connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
                    await trio.lowlevel.wait_readable(connection)
                    await self._agent.turns.take()
        except OSError:
            return False
        finally:
            self._silent.discard(ending)
        return False

    async def _converse(self, connection: socket.socket, ending: Ending) -> None:
        caller = Caller(peer=describe_peer(connection))
        try:
            caller = await self._identify(connection, caller)
            worker = await self._find_worker()
            await worker.converse(connection, caller, ending)
        except AirlockError as error:
            await self._refuse(connection, caller, error)
        except OSError as error:
            if not is_full_table(error):
                raise
            await self._refuse(connection, caller, full_table())

    async def _identify(self, connection: socket.socket, caller: Caller) -> Caller:
        """The client, by the same rules as that of a request; raises Denied and Failed."""
        shared, agent = self._shared, self._agent.generation.agent
        peer = identify(connection, peer_credentials(connection))
        refuse_own(peer, shared.ancestry)
        if not agent.profile.engine_socket:
            await refuse_engine_socket(
                peer,
                agent=agent.name,
                profile_file=agent.profile_file,
                sockets_dir=self._agent.generation.reserved.sockets_dir,
                containers=shared.containers,
            )
        if peer.container is None:
            return caller
        is_proven = True
        try:
            await shared.containers.attest(peer, agent=agent.name)
        except (Failed, Denied):
            is_proven = False
        return replace(caller, container=peer.container, container_proven=is_proven)

    async def _find_worker(self) -> Worker:
        """The worker for a connection; raises AirlockError where there is none."""
        async with self._turn:
            if self._worker is not None and not self._worker.is_over:
                return self._worker
            await trio.sleep_until(self._not_before)
            if self._settings is None:
                self._settings = await run_in_thread(self._make_settings)
            return await self._start(self._settings)

    async def _start(self, settings: Settings) -> Worker:
        pair = await self._broker.parent.fork(self._name)
        worker = self._worker = Worker(
            pair, settings, self._operations, agent=self._agent, shared=self._shared
        )
        if self._reason is not None:
            worker.stop(self._reason)
        self._broker.start(self, worker)
        return worker

    def _make_settings(self) -> Settings:
        """What the worker is told, of which the container is told its part. Raises AirlockError."""
        generation, state = self._agent.generation, self._broker.state
        name, apis = generation.agent.name, generation.apis
        published = os.path.join(self._broker.sockets_dir, name)
        # Its folder is that of the CA's key, too.
        find_placeholder_key(state, name)
        placeholders = find_placeholders(state, name, apis)
        publish_client(published, describe_client(apis, placeholders))
        variables = self._shared.environment
        return Settings(
            agent=name,
            apis=tuple(each.without_rules() for each in apis.apis),
            network=apis.network,
            placeholders=placeholders,
            keys=state.path(f"https/{name}.key"),
            published=published,
            variables={each: variables[each] for each in BASE if each in variables},
        )

    async def _refuse(self, connection: socket.socket, caller: Caller, error: AirlockError) -> None:
        self._operations.note_unserved(error, caller)
        await self._agent.gate.pace.keep()
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(connection))
        await say_last(stream, _write_answer(error), self._agent.turns, self._agent.closer)

    @property
    def _name(self) -> str:
        return self._agent.generation.agent.name


def _write_answer(error: AirlockError) -> bytes:
    """What says in HTTP why a connection is not served."""
    is_denied = isinstance(error, Denied) and error.layer != "limit"
    status = HTTPStatus.FORBIDDEN if is_denied else HTTPStatus.SERVICE_UNAVAILABLE
    return refusal(status, f"{error.message}; {error.hint}" if error.hint else error.message)
