"""Serves an agent's `docker.sock`: identifies its clients, and records their calls.

It also reads the human's login at a registry for a call that is granted one.
"""

import os
import socket
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus

import trio
from msgspec.structs import replace

from airlock_daemon.boundary.audit_text import shorten
from airlock_daemon.boundary.brokers.docker.broker import EngineBroker
from airlock_daemon.boundary.brokers.docker.engine_socket import find_engine_of
from airlock_daemon.boundary.brokers.docker.logins import Configuration
from airlock_daemon.boundary.brokers.docker.making import CallResult, Details
from airlock_daemon.boundary.brokers.egress.conversation import BoxConnection
from airlock_daemon.boundary.brokers.requester import MAX_OUTPUT, run_program
from airlock_daemon.boundary.command import CommandLine
from airlock_daemon.boundary.connection.descriptors import drop_unread
from airlock_daemon.boundary.identity.neighbours import Mounted
from airlock_daemon.boundary.identity.peer import Peer, require_unchanged_root
from airlock_daemon.boundary.workspace.mapping import find_other
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.errors import AND_RELOAD, AirlockError, Denied, Failed
from airlock_daemon.files import read_bounded
from airlock_daemon.path_text import expand_home
from airlock_daemon.platform.system import MountTable, read_own_mounts
from airlock_daemon.serving.audit.record import Kind, Outcome, Record
from airlock_daemon.serving.daemon.callers import identify_caller
from airlock_daemon.serving.daemon.clients import describe_peer
from airlock_daemon.serving.request import AgentState, Caller, DaemonState, RecordQuota, log
from airlock_daemon.serving.session import Cancellation, Reason
from airlock_daemon.setup.client import ContainerClient
from airlock_daemon.setup.generation import Reserved, State, leads_through
from airlock_daemon.setup.shim_program import find_shim
from airlock_daemon.threads import run_in_thread
from airlock_modules.engine import DockerGrant, Egress, ImageName, Ownership, Root, is_below
from airlock_modules.operation import Operation
from airlock_wire import quote


class DockerService:
    """Serves one agent's `docker.sock`."""

    def __init__(self, shared: DaemonState, agent: AgentState, state: State) -> None:
        self._shared = shared
        self._agent = agent
        self._state = state
        self._broker = EngineBroker(state, agent.generation.agent.name)
        self._records = _Records(shared, agent)
        self._reason: Reason | None = None
        self._open: set[Cancellation] = set()

    def stop(self, reason: Reason) -> None:
        """As `Service.stop`. Calls end too: a log may be followed for ever."""
        self._reason = reason
        for cancellation in list(self._open):
            cancellation.end(reason)

    def put(self, error: Denied) -> bytes:
        """As `Service.put`."""
        return self._broker.write_refusal(error, HTTPStatus.SERVICE_UNAVAILABLE)

    async def serve(self, connection: socket.socket, scope: trio.CancelScope) -> None:
        """As `Service.serve`."""
        cancellation = Cancellation(scope)
        if self._reason is not None:
            cancellation.end(self._reason)
        self._open.add(cancellation)
        try:
            await self._converse(connection)
        finally:
            self._open.discard(cancellation)
            cancellation.close()
            drop_unread(connection, self._agent.closer)
            connection.close()
            self._agent.gate.disconnect()

    async def carry(self, connection: trio.SocketStream, caller: Caller, peer: Peer) -> None:
        """As `Engines.carry`."""
        cancellation = Cancellation()
        if self._reason == "removed":
            cancellation.end(self._reason)
        self._open.add(cancellation)
        taken = socket.socket(fileno=connection.socket.detach())
        taken.setblocking(False)
        try:
            with cancellation.scope:
                await self._broker.serve(taken, await self._make_client(caller, peer))
        finally:
            self._open.discard(cancellation)
            drop_unread(taken, self._agent.closer)
            taken.close()

    async def remove_own(self) -> None:
        """As `Engines.remove_own`."""
        from airlock_daemon.boundary.brokers.docker.departure import (  # noqa: PLC0415 - seldom
            remove_made,
        )

        environment = self._shared.environment
        if problem := await remove_made(self._agent.generation, environment, self._state):
            log.warning("%s", problem)

    def _find_ownership(self) -> Ownership:
        return Ownership(self._agent.generation.agent.name, self._state.secrets.find_installation())

    async def _converse(self, connection: socket.socket) -> None:
        try:
            caller, peer = await identify_caller(connection, self._agent, self._shared)
        except AirlockError as error:
            caller = Caller(peer=describe_peer(connection))
            self._records.write(CallResult(operation=None, error=error), caller)
            await self._agent.gate.pace.wait()
            is_denied = isinstance(error, Denied)
            status = HTTPStatus.FORBIDDEN if is_denied else HTTPStatus.SERVICE_UNAVAILABLE
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(connection.dup()))
            async with stream:
                said = self._broker.write_refusal(error, status)
                client = BoxConnection(stream, self._agent.turns, self._agent.closer)
                await client.send_final(said)
            return
        await self._broker.serve(connection, await self._make_client(caller, peer))

    async def _make_client(self, caller: Caller, peer: Peer) -> "_Client":
        narrow, owned = await self._find_grant(peer), self._find_ownership
        return _Client(self._shared, self._agent, self._records, caller, narrow, owned)

    async def _find_grant(self, peer: Peer) -> Callable[[DockerGrant], DockerGrant]:
        """What becomes of the agent's grant for a client that may see less of the workspaces.

        That is by the mounts of its container, as the first process there has them: a process can
        make those that it sees itself. Where they are not known, there is no workspace.
        """
        if peer.kind == "local":
            return lambda grant: grant
        try:
            name = self._agent.generation.agent.name
            container = await self._shared.containers.find(peer, agent=name)
            rows = require_unchanged_root(container.mounts())
        except (Failed, Denied) as error:
            log.info("agent %s: its client mounts no workspace: %s", name, error.message)
            return lambda grant: replace(grant, roots=())
        return lambda grant: cover(grant, rows=rows, host=read_own_mounts())


def cover(grant: DockerGrant, *, rows: MountTable, host: MountTable) -> DockerGrant:
    """The grant for a client in a container with the mounts `rows`; `host` are the daemon's.

    A workspace that the container does not have at its path, whatever it has there instead, cannot
    be mounted into others, nor in another way. Whether a mount below it masks something or is only
    another directory, a container that mounts a part of the workspace could see what lies under it.
    """

    def narrow(root: Root) -> Root | None:
        seen, own = rows.find(root.inner), host.find(root.outer)
        if seen is None or own is None or seen.point == "/":
            return None
        if find_other(root.outer, target=root.inner, rows=rows, host=host) is not None:
            return None
        points = (each for each in rows.seen if each != root.inner and is_below(each, root.inner))
        is_read_only = root.is_read_only or seen.read_only
        return replace(root, is_read_only=is_read_only, covered=(*root.covered, *points))

    return replace(grant, roots=tuple(filter(None, map(narrow, grant.roots))))


class _Outdated(Denied):
    """The rules were reloaded while a call waited; the person's `approval` is used up."""

    def __init__(self, approval: object | None) -> None:
        super().__init__(
            "the rules were reloaded while it waited for a person",
            layer="profile",
            rule="approve",
            hint="send it again, to be judged by the present ones",
        )
        self.approval = approval


class _Client:
    """One client of an agent's socket, as the broker's `EngineAgent`."""

    def __init__(
        self,
        shared: DaemonState,
        agent: AgentState,
        records: "_Records",
        caller: Caller,
        narrow: Callable[[DockerGrant], DockerGrant],
        find_ownership: Callable[[], Ownership],
    ) -> None:
        """`narrow` is `_find_grant`'s."""
        self.turns = agent.turns
        self.closer = agent.closer
        self._shared = shared
        self._agent = agent
        self._records = records
        self._caller = caller
        self._narrow = narrow
        self._find_ownership = find_ownership

    @property
    def ownership(self) -> Ownership:
        """As `EngineAgent.ownership`."""
        return self._find_ownership()

    @property
    def grant(self) -> DockerGrant:
        """As `EngineAgent.grant`."""
        grant = self._agent.generation.docker
        if grant is None:
            raise Denied(
                "docker is not granted to the agent any more",
                layer="profile",
                rule="docker",
                hint=f"a person on the host can add [docker] to its airlock.toml{AND_RELOAD}",
            )
        return self._narrow(grant)

    @property
    def engine(self) -> str:
        """As `EngineAgent.engine`."""
        return find_engine_of(self._agent.generation, self._shared.environment)

    def may_require_approval(self, operation: Operation) -> bool:
        """As `EngineAgent.may_require_approval`."""
        rules = self._agent.generation.agent.profile.approve
        return rules is not None and rules.may_find((operation.words[:2],))

    async def admit(
        self,
        operation: Operation,
        details: Details,
        *,
        forms: tuple[tuple[str, ...], ...],
        changes: bool,
        note: str = "",
    ) -> object | None:
        """As `EngineAgent.admit`."""
        record = self._records.begin(operation, self._caller)
        generation = self._agent.generation
        if generation.agent.profile.find_approval(forms) is not None:
            from airlock_daemon.boundary.approval.questions import ApprovalRequest  # noqa: PLC0415

            asked = ApprovalRequest(
                operation=operation, details=details, forms=forms, note=note
            ).lasting
            record = await self._shared.approvals.record_answer(
                asked, record, agent=self._agent, size=sum(len(text) for _, text in details)
            )
            if self._agent.generation is not generation:
                raise _Outdated(record.approval)
        if changes:
            self._shared.record(replace(record, event="broker-start"), is_ahead=True)
        return record.approval

    def record(self, result: CallResult) -> None:
        """As `EngineAgent.record`."""
        if isinstance(result.error, _Outdated):
            result = replace(result, approval=result.error.approval)
        self._records.write(result, self._caller)

    async def find_login(self, image: ImageName) -> bytes | None:
        """As `EngineAgent.find_login`."""
        if not self.grant.has_login(image):
            return None
        return await _find_registry_login(image.domain, agent=self._agent, shared=self._shared)

    async def find_egress(self, architecture: str) -> Egress | None:
        """As `EngineAgent.find_egress`."""
        grant, apis = self.grant, self._agent.apis
        try:
            shim = find_shim(architecture, search_path=self._agent.generation.programs.path)
        except AirlockError as error:
            problem = "agent %s: a container has no way out, and ports by its address alone: %s; %s"
            name = self._agent.generation.agent.name
            log.warning(problem, name, error, error.hint)
            return None
        if apis is None or not self._agent.generation.apis or grant.is_bridged:
            return Egress(shim=shim)
        # It links the certificates into that directory.
        await apis.prepare()
        return Egress(directory=grant.egress, shim=shim, environment=ContainerClient.VARIABLES)


class _Records:
    """The records of an agent's calls: many that only read or are refused are counted in one."""

    def __init__(self, shared: DaemonState, agent: AgentState) -> None:
        self._shared = shared
        self._agent = agent
        self._quota = RecordQuota()

    def begin(self, operation: Operation | None, caller: Caller) -> Record:
        """A record of an operation, without its outcome."""
        line = "docker" if operation is None else operation.line
        return Record(
            event="broker",
            id=os.urandom(8).hex(),
            request=caller.request,
            profile=self._agent.generation.agent.name,
            command="docker",
            peer=caller.peer,
            container=caller.container,
            container_proven=caller.container_proven,
            detail={"service": "docker", "operation": line},
        )

    def write(self, result: CallResult, caller: Caller) -> None:
        """Write the record of a call, or count it."""
        record = replace(self.begin(result.operation, caller), approval=result.approval)
        outcome: Outcome = "aborted" if result.status is None else "allowed"
        if result.error is not None:
            outcome = "denied" if isinstance(result.error, Denied) else "failed"
            record = replace(record, reason=shorten(result.error.message))
        if isinstance(result.error, Denied):
            record = replace(record, layer=result.error.layer, rule=result.error.rule)
            if result.error.rule == "approve":
                record = self._shared.approvals.note_rejection(record, result.error)
        done = {"status": result.status, "bytes": result.sent, "received": result.received}
        detail = record.detail if isinstance(record.detail, dict) else {}
        record = replace(record, outcome=outcome, detail={**detail, **done})
        if self._quota.has_room or (result.changes and result.error is None):
            self._quota.spend()
            self._shared.record(record)
        else:
            kind = Kind("broker", outcome, record.layer)
            self._shared.audit.count(str(record.profile), kind, record.peer)


async def _find_registry_login(
    registry: str, *, agent: AgentState, shared: DaemonState
) -> bytes | None:
    """The human's login at a registry, as docker's `X-Registry-Auth`; None for none.

    Raises Denied if the human's docker configuration cannot be read.
    """
    generation = agent.generation
    reader = partial(
        _read_logins_beside, generation.reserved, shared.environment, generation.workspaces
    )
    configuration = await run_in_thread(reader, limiter=agent.lookups)
    directory = Workspace.make_empty(None)
    try:
        helpers = partial(
            _ask_helper, shared, agent, generation.programs.path, directory.descriptor
        )
        login = await configuration.find_login(registry, generation.programs, helpers)
    finally:
        await directory.release(agent.removals)
    return None if login is None else login.write_header()


def _read_logins_beside(
    reserved: Reserved, environment: Mapping[str, str], written: tuple[str, ...]
) -> Configuration:
    beside: tuple[str, ...] = ()
    if reserved.sockets_dir is not None:
        beside = Mounted.find_writable(reserved.sockets_dir)
    return _read_logins(reserved, environment, (*written, *beside))


def _read_logins(
    reserved: Reserved, environment: Mapping[str, str], written: tuple[str, ...]
) -> Configuration:
    """The human's docker configuration, an empty one if there is no file."""
    folder = environment.get("DOCKER_CONFIG", "")
    home = environment.get("HOME", "/")
    path = os.path.join(folder or expand_home("~/.docker", home), "config.json")
    if not os.path.isabs(path):
        raise _refuse_logins("DOCKER_CONFIG of the daemon names no directory of this host")
    conflict = reserved.private.conflict(os.path.realpath(path))
    if leads_through(path, written):
        conflict = "the way to it leads through a workspace"
    if conflict is not None:
        raise _refuse_logins(f"{quote(path)} may not be read: {conflict}")
    try:
        content = read_bounded(os.path.realpath(path), limit=MAX_OUTPUT)
    except (FileNotFoundError, NotADirectoryError):
        content = b""
    except OSError as error:
        raise _refuse_logins(f"{quote(path)} cannot be read: {error.strerror}") from error
    configuration = None if content is None else Configuration.read(content)
    if configuration is None:
        raise _refuse_logins(f"{quote(path)} is no configuration of docker")
    return configuration


def _refuse_logins(problem: str) -> Denied:
    return Denied(
        f"docker's logins cannot be had: {problem}",
        layer="broker",
        rule="logins",
        hint="a person on the host can mend that file, or set DOCKER_CONFIG of the daemon",
    )


async def _ask_helper(
    shared: DaemonState,
    agent: AgentState,
    path: str,
    directory: int,
    program: str,
    argv: tuple[str, ...],
    said: bytes,
) -> tuple[int, bytes]:
    line = CommandLine(program, argv, {**shared.environment, "PATH": path}, directory)
    return await run_program(line, shared.launcher, agent.turns, said=said)
