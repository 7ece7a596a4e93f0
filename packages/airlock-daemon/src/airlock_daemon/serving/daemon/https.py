"""The APIs of agents: identifies clients of `https.sock`, and passes them to a worker.

Connections from boxes are passed on too; their box's request was identified already.
"""

import math
import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

import trio

from airlock_daemon.boundary.box import ApiAccess
from airlock_daemon.boundary.brokers.egress.conversation import BoxConnection
from airlock_daemon.boundary.brokers.egress.destinations import refusal
from airlock_daemon.boundary.brokers.https.confinement import find_readable
from airlock_daemon.boundary.brokers.https.messages import Settings
from airlock_daemon.boundary.command import BASE
from airlock_daemon.boundary.connection.descriptors import drop_unread
from airlock_daemon.errors import (
    LOOK_AT_MESSAGES,
    AirlockError,
    Denied,
    Failed,
    full_table,
    is_full_table,
)
from airlock_daemon.serving.daemon.callers import identify_caller
from airlock_daemon.serving.daemon.clients import describe_peer
from airlock_daemon.serving.daemon.https_parent import Parent
from airlock_daemon.serving.daemon.https_worker import REMOVED, Worker
from airlock_daemon.serving.request import AgentState, Caller, DaemonState, log
from airlock_daemon.serving.request.https import Operations
from airlock_daemon.serving.request.sources import Sources
from airlock_daemon.serving.session import Cancellation, Reason
from airlock_daemon.setup.client import ContainerClient
from airlock_daemon.setup.generation import PUBLISHED, Generation, State, container_directory
from airlock_daemon.threads import run_in_thread

# Seconds before a worker that ended by itself is restarted.
_REST_S = 1.0
# Seconds between checks whether system files such as /etc/resolv.conf were replaced.
_LOOKED_S = 1.0
# Seconds that a boxed command waits for its agent's certificates.
_PREPARED_S = 15.0


class HttpsBroker:
    """The state shared by the agents' services. A task must `run` it."""

    def __init__(self, shared: DaemonState, state: State, *, sockets_dir: str) -> None:
        """The caller owns `shared`."""
        self.shared = shared
        self.state = state
        self.sockets_dir = sockets_dir
        self.parent = Parent(shared.environment)
        self.sources = Sources(shared, state)
        self._services: list[HttpsService] = []
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """Supervise the processes until cancelled, then end them."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.parent.run)
            nursery.start_soon(self.sources.forget_unused)
            self._nursery = nursery
            self.renew()

    def serve(self, agent: AgentState) -> "HttpsService":
        """Return an agent's service; call `renew` once it is in use."""
        service = HttpsService(self, agent)
        self._services.append(service)
        return service

    def renew(self) -> None:
        """Publish what each agent's containers need, if it changed."""
        self._services = [each for each in self._services if not each.is_stopped]
        if self._nursery is not None:
            for service in self._services:
                self._nursery.start_soon(service.publish)

    def start(self, service: "HttpsService", worker: Worker, number: int) -> None:
        """Start a task that runs a service's worker."""
        if self._nursery is not None:
            self._nursery.start_soon(service.run, worker, number)


class HttpsService:
    """Serves one agent's `https.sock` with a worker process, started on demand."""

    def __init__(self, broker: HttpsBroker, agent: AgentState) -> None:
        self._broker = broker
        self._shared = broker.shared
        self._agent = agent
        self._operations = Operations(broker.shared, agent, broker.sources)
        self._worker: Worker | None = None
        self._settings: Settings | None = None
        # Earlier workers that still have connections.
        self._retired: list[Worker] = []
        # The files that the worker may read, and when they were last checked.
        self._readable: tuple[tuple[str, int, int], ...] = ()
        self._looked = -math.inf
        # The generation of these settings, and what containers and boxes get for it.
        self._generation: Generation | None = None
        self._client = ContainerClient(environment={}, files={})
        self._turn = trio.Lock()
        self._not_before = -1.0
        self._reason: Reason | None = None
        self._silent: set[Cancellation] = set()

    @property
    def is_stopped(self) -> bool:
        """Whether it starts nothing more."""
        return self._reason is not None

    def stop(self, reason: Reason) -> None:
        """As `Service.stop`; running operations continue."""
        self._reason = reason
        for cancellation in list(self._silent):
            cancellation.end(reason)
        for worker in (self._worker, *self._retired):
            if worker is not None:
                worker.stop(reason)

    def put(self, error: Denied) -> bytes:
        """As `Service.put`."""
        return _write_answer(error)

    async def serve(self, connection: socket.socket, scope: trio.CancelScope) -> None:
        """As `Service.serve`."""
        cancellation = Cancellation(scope)
        if self._reason is not None:
            cancellation.end(self._reason)
        try:
            if await self._wait_first(connection, cancellation):
                await self._converse(connection, cancellation)
        finally:
            cancellation.close()
            # The worker may have ended before it read what the client sent.
            drop_unread(connection, self._agent.closer)
            connection.close()
            self._agent.gate.disconnect()

    async def publish(self) -> None:
        """Publish the agent's CA and variables if its APIs changed."""
        for worker in (self._worker, *self._retired):
            if worker is not None:
                worker.review()
                await worker.narrow()
        try:
            async with self._turn:
                await self._renew()
        except AirlockError as error:
            log.error("agent %s: its APIs are not served: %s; %s", self._name, error, error.hint)
        except Exception:  # noqa: BLE001 - the other agents' are served
            log.exception("a fault of the daemon keeps an agent's APIs from it; please report it")

    async def _renew(self) -> None:
        """Give the worker the agent's present settings. Raises AirlockError."""
        before = self._settings
        settings = await self._read()
        if settings == before:
            return
        for retired in self._retired:
            retired.renew(settings)
        worker = self._worker
        if worker is not None and not worker.is_over:
            # Also where no other can start: its connections lose what is no longer granted.
            worker.renew(settings)
            if not self._reads_less(settings):
                return
        try:
            await self._start(settings)
        except BaseException:
            # They were not published, so the next call must make them again.
            self._settings, self._generation = before, None
            raise

    async def _read(self) -> Settings:
        """Make settings from the agent's present generation, and publish its variables."""
        generation = self._agent.generation
        settings, client = await run_in_thread(lambda: self._make_settings(generation))
        self._settings, self._client, self._generation = settings, client, generation
        return settings

    async def prepare(self) -> ApiAccess:
        """As `Apis.prepare`."""
        with trio.move_on_after(_PREPARED_S):
            async with self._turn:
                if self._reason == "removed":
                    raise REMOVED
                if self._generation is not self._agent.generation:
                    await self._renew()
                worker = self._worker
                if worker is None or (worker.is_over and not self._is_published):
                    worker = await self._restart()
            if not worker.is_over:
                await worker.settle()
            inner = container_directory(self._name)
            linked = os.path.join(self._broker.sockets_dir, inner)
            link_published(self._published, linked)
            return ApiAccess(
                environment=self._client.environment,
                files=self._client.files,
                published=linked,
            )
        raise Failed(
            f"the certificates of {self._name} are not there after {_PREPARED_S:g} s",
            hint=LOOK_AT_MESSAGES,
        )

    async def carry(
        self,
        connection: trio.SocketStream,
        caller: Caller,
        network: Callable[[], tuple[str, ...]],
        tell: Callable[[str], None],
    ) -> None:
        """As `Apis.carry`."""
        cancellation = Cancellation()
        try:
            with cancellation.scope:
                await self._pass_on(connection, caller, cancellation, network=network, tell=tell)
        finally:
            # The worker has its own descriptor of the connection.
            with suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)

    async def run(self, worker: Worker, number: int) -> None:
        """Run a worker to its end, and that of its process, which has a number."""
        is_own_end = await worker.run()
        await self._broker.parent.kill(number)
        if is_own_end:
            self._not_before = trio.current_time() + _REST_S
            log.error(
                "agent %s: its worker has ended, and its connections are cut; please report what "
                "it has said before, unless somebody has killed it",
                self._name,
            )

    async def _wait_first(self, connection: socket.socket, cancellation: Cancellation) -> bool:
        """Wait for a client's first byte; False if it closes or stays silent.

        So a silent client, or a probe for a listener, starts no worker.
        """
        self._silent.add(cancellation)
        try:
            with trio.move_on_after(self._agent.gate.limits.request_s):
                while True:
                    with suppress(BlockingIOError):
                        # MSG_PEEK without ancillary data leaves passed descriptors in the queue.
                        return bool(connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
                    await trio.lowlevel.wait_readable(connection)
                    await self._agent.turns.take()
        except OSError:
            return False
        finally:
            self._silent.discard(cancellation)
        return False

    async def _converse(self, connection: socket.socket, cancellation: Cancellation) -> None:
        caller = Caller(peer=describe_peer(connection))
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(connection))
        try:
            caller, _ = await identify_caller(connection, self._agent, self._shared)
        except AirlockError as error:
            await self._refuse(stream, caller, error)
        else:
            await self._pass_on(stream, caller, cancellation)

    async def _pass_on(
        self,
        connection: trio.SocketStream,
        caller: Caller,
        cancellation: Cancellation,
        *,
        network: Callable[[], tuple[str, ...]] = tuple,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        try:
            if self._reason == "removed":
                raise REMOVED
            worker = await self._find_worker()
            await worker.converse(
                connection.socket.fileno(), caller, cancellation, network=network, tell=tell
            )
        except AirlockError as error:
            if tell is not None:
                tell(f"{error.message}; {error.hint}")
            await self._refuse(connection, caller, error)
        except OSError as error:
            if not is_full_table(error):
                raise
            await self._refuse(connection, caller, full_table())

    async def _find_worker(self) -> Worker:
        """The worker for a connection; raises AirlockError if none can start."""
        async with self._turn:
            if self._settings is not None and self._generation is not self._agent.generation:
                # A reload whose `publish` has not run yet, or has failed.
                await self._renew()
            settings, worker = self._settings, self._worker
            is_good = worker is not None and not worker.is_over
            if is_good and settings is not None and trio.current_time() - self._looked > _LOOKED_S:
                is_good = not self._reads_less(settings)
            return worker if worker is not None and is_good else await self._restart()

    def _reads_less(self, settings: Settings) -> bool:
        """Whether the files to read changed: the worker's confinement is permanent."""
        self._looked = trio.current_time()
        return find_readable(settings) != self._readable

    async def _restart(self) -> Worker:
        await trio.sleep_until(self._not_before)
        return await self._start(self._settings or await self._read())

    async def _start(self, settings: Settings) -> Worker:
        number, pair = await self._broker.parent.fork(self._name)
        self._retired = [each for each in self._retired if not each.is_over]
        if self._worker is not None and not self._worker.is_over:
            self._worker.retire(settings)
            self._retired.append(self._worker)
        self._readable = find_readable(settings)
        worker = self._worker = Worker(
            pair, settings, self._operations, agent=self._agent, shared=self._shared
        )
        if self._reason is not None:
            worker.stop(self._reason)
        self._broker.start(self, worker, number)
        return worker

    def _make_settings(self, generation: Generation) -> tuple[Settings, ContainerClient]:
        """Make the worker's settings, and what a container gets. Raises AirlockError."""
        state = self._broker.state
        name, apis = generation.agent.name, generation.apis
        client = ContainerClient.describe(state, name, apis)
        client.publish(self._published)
        variables = self._shared.environment
        settings = Settings(
            agent=name,
            apis=tuple(each.without_rules() for each in apis.apis),
            network=apis.network,
            placeholders=client.placeholders,
            keys=os.path.join(state.secrets.make_worker_folder(name), "key"),
            published=self._published,
            variables={each: variables[each] for each in BASE if each in variables},
        )
        return settings, client

    async def _refuse(
        self, connection: trio.SocketStream, caller: Caller, error: AirlockError
    ) -> None:
        self._operations.note_unserved(error, caller)
        await self._agent.gate.pace.wait()
        client = BoxConnection(connection, self._agent.turns, self._agent.closer)
        await client.send_final(_write_answer(error))

    @property
    def _is_published(self) -> bool:
        return all(os.path.exists(os.path.join(self._published, name)) for name in PUBLISHED)

    @property
    def _published(self) -> str:
        return os.path.join(self._broker.sockets_dir, self._name)

    @property
    def _name(self) -> str:
        return self._agent.generation.agent.name


def _write_answer(error: AirlockError) -> bytes:
    """An HTTP response that refuses a connection."""
    is_denied = isinstance(error, Denied) and error.layer != "limit"
    status = HTTPStatus.FORBIDDEN if is_denied else HTTPStatus.SERVICE_UNAVAILABLE
    return refusal(status, f"{error.message}; {error.hint}")


def link_published(source: str, target: str) -> None:
    """Link the HTTPS broker's files where boxes and docker's containers may mount them.

    Whoever mounts by path follows a symlink on the host, and a container may put one into `source`,
    if it mounts that. It cannot reach `target`. Raises Failed.
    """
    for name in PUBLISHED:
        old, new = os.path.join(source, name), os.path.join(target, name)
        try:
            found = os.lstat(old)
            is_file = stat.S_ISREG(found.st_mode)
            if is_file and os.path.lexists(new) and os.path.samestat(found, os.lstat(new)):
                continue
            linked = f"{new}.new"
            with suppress(FileNotFoundError):
                os.unlink(linked)
            os.link(old, linked, follow_symlinks=False)
            # It may have been replaced meanwhile.
            if not stat.S_ISREG(os.lstat(linked).st_mode):
                os.unlink(linked)
                raise Failed(
                    f"{old} is not the file that the HTTPS broker wrote",
                    hint="mount the agent's socket directory read-only, and reload: airlock reload",
                )
            os.rename(linked, new)
        except OSError as error:
            raise Failed(
                f"{new} cannot be made: {error.strerror}",
                hint="a person on the host can see whether the daemon may write its directory",
            ) from error
