"""Serves the agents of the latest generations; adds, changes and removes them on reload.

The code for what agents are granted is loaded with the granting generation, and nothing else: code
that nobody is granted cannot cause faults. Container identity, git over ssh and LFS are imported
by the first request that needs them, before it starts anything: it fails if no descriptor is left.
The sockets of APIs and docker have no such requests, so container identity is loaded with these.
"""

import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import msgspec
import trio

from airlock_daemon.platform.system import descriptor_limit
from airlock_daemon.serving.daemon.clients import Clients
from airlock_daemon.serving.daemon.listener import Listener, Service
from airlock_daemon.serving.daemon.sockets import SocketsDirectory
from airlock_daemon.serving.request import AgentState, DaemonState, find_broker, log
from airlock_daemon.serving.session import Reason
from airlock_daemon.setup.generation import ENGINE, HTTPS, SOCKET, Generation, Setup, State
from airlock_modules import Module

if TYPE_CHECKING:
    from airlock_daemon.serving.daemon.bridge_container import AgentBridge
    from airlock_daemon.serving.daemon.control import ControlSocket
    from airlock_daemon.serving.daemon.https import HttpsBroker

_Nurseries = tuple[trio.Nursery, trio.Nursery, trio.Nursery]


class ServedAgents:
    """Serves the agents of the latest setup. A task must `run` it."""

    def __init__(self, shared: DaemonState, sockets: SocketsDirectory) -> None:
        """Start without agents; the caller owns `shared` and `sockets`."""
        self._shared = shared
        self._sockets = sockets
        self._served: dict[str, _Served] = {}
        # Removed agents that still have connections.
        self._leaving: dict[str, _Served] = {}
        self._nurseries: _Nurseries | None = None
        self._https: HttpsBroker | None = None
        self._control: ControlSocket | None = None
        # What requests share.
        self._services: list[Callable[[], Awaitable[None]]] = []

    def adopt(self, setup: Setup) -> None:
        """Serve the agents of `setup` from now on, each by its new generation, and no others.

        Running requests continue under their own generation, and still count for their agent. A
        removed agent loses its sockets and starts nothing. Raises AirlockError, with nothing
        changed, if a socket cannot be made.
        """
        load_granted(setup.generations.values())
        generations = self._fit(setup.generations)
        self._adopt_boxes(generations)
        self._adopt_approvals(setup)
        wanted = {name: tuple(_list_sockets(each)) for name, each in generations.items()}
        added = self._listen(wanted)
        # From here on nothing fails, and no request comes in between.
        self._shared.adopt(setup)
        if any(HTTPS in names for names in wanted.values()):
            self._adopt_https(setup)
        for name in [name for name in self._served if name not in generations]:
            self._remove(name)
        for name, served in self._served.items():
            served.agent.adopt(generations[name])
            for each in [each for each in served.listeners if each not in wanted[name]]:
                self._shut(name, served.listeners.pop(each))
        for name in [name for name, names in wanted.items() if HTTPS not in names]:
            self._sockets.withhold(name)
        for name, generation in generations.items():
            if name not in self._served:
                self._served[name] = self._add(generation)
        for (name, each), listening in added.items():
            self._open(self._served[name], each, listening, setup.state)
        for name, generation in generations.items():
            self._adopt_bridge(self._served[name], generation, setup.state)
        if self._nurseries is None and setup.state.has_bridges:
            # A daemon before this one may have left some. Later, each agent removes its own.
            from airlock_daemon.serving.daemon.bridge_container import remove_stale_volumes  # noqa: PLC0415

            bridged = [name for name, served in self._served.items() if served.bridge is not None]
            self._start(
                partial(remove_stale_volumes, frozenset(bridged), setup.state, self._shared)
            )
        if self._https is not None:
            self._https.renew()

    async def run(self, requests: trio.Nursery, watching: trio.Nursery) -> None:
        """Accept connections until cancelled; tasks of `requests` serve them.

        Services shared by requests run as tasks of `watching`.
        """
        async with trio.open_nursery() as accepting:
            self._nurseries = accepting, requests, watching
            for service in self._services:
                watching.start_soon(service)
            for name, served in self._served.items():
                accepting.start_soon(self._attend, name, served)
                for opened in served.listeners.values():
                    accepting.start_soon(opened.accept, requests)
                if served.bridge is not None:
                    watching.start_soon(served.bridge.run, served.listeners, requests)
            await trio.sleep_forever()

    def stop(self) -> None:
        """Start nothing more, and answer every waiting client that the daemon stops."""
        if self._control is not None:
            self._shared.approvals.stop()
        for served in self._served.values():
            for opened in served.listeners.values():
                opened.listener.stop("stop")
            if served.bridge is not None:
                served.bridge.container.offer(())

    def _fit(self, generations: Mapping[str, Generation]) -> dict[str, Generation]:
        """Lower all agents' limits to what the descriptor table allows."""
        table = descriptor_limit()
        fitted = {}
        for name, generation in generations.items():
            limits = generation.limits.share_descriptors(
                table=table,
                agents=len(generations),
                has_pre_exec=generation.agent.hooks.pre_exec is not None,
            )
            served = self._served.get(name)
            is_told = served is not None and served.agent.generation.limits == limits
            if limits != generation.limits and not is_told:
                log.warning(
                    "agent %s: at most %d connections and %d running commands, "
                    "as only %d files may be open; for more, raise ulimit -n for the daemon",
                    *(name, limits.connections, limits.running, table),
                )
            fitted[name] = msgspec.structs.replace(generation, limits=limits)
        return fitted

    def _listen(
        self, wanted: Mapping[str, tuple[str, ...]]
    ) -> dict[tuple[str, str], socket.socket]:
        """Listen on those of the agents' sockets that are not open yet."""
        made: dict[tuple[str, str], socket.socket] = {}
        try:
            for name, sockets in wanted.items():
                served = self._served.get(name)
                for each in sockets:
                    if served is None or each not in served.listeners:
                        made[name, each] = self._sockets.listen(name, each)
        except BaseException:
            for (name, each), listening in made.items():
                self._sockets.dismiss(name, each)
                listening.close()
            raise
        return made

    def _adopt_boxes(self, generations: Mapping[str, Generation]) -> None:
        """Start prewarming boxes with the first agent that has a boxed command."""
        if self._shared.boxes is None and any(map(has_boxes, generations.values())):
            from airlock_daemon.boundary.box import Boxes  # noqa: PLC0415

            self._shared.boxes = Boxes(self._shared.launcher, self._shared.null)
            self._start(self._shared.boxes.run)

    def _adopt_approvals(self, setup: Setup) -> None:
        """Open the control socket with the first profile that requires approvals.

        Raises AirlockError.
        """
        generations = setup.generations.values()
        is_wanted = any(each.agent.profile.approve is not None for each in generations)
        if self._control is None and is_wanted:
            from airlock_daemon.serving.daemon.control import ControlSocket  # noqa: PLC0415
            from airlock_daemon.setup import answering  # noqa: PLC0415

            path = answering.locate_control(setup.state, setup.locations.sockets_dir)
            self._control = ControlSocket(path, self._shared)
            self._start(self._control.run)

    def _adopt_https(self, setup: Setup) -> None:
        """Start the HTTPS broker, which is imported for the first agent that needs it."""
        if self._https is None:
            from airlock_daemon.serving.daemon.https import HttpsBroker  # noqa: PLC0415

            self._https = HttpsBroker(
                self._shared, setup.state, sockets_dir=setup.locations.sockets_dir
            )
            self._start(self._https.run)

    def _start(self, service: Callable[[], Awaitable[None]]) -> None:
        """Run a service that requests share, or what has to be done once."""
        self._services.append(service)
        if self._nurseries is not None:
            _, _, watching = self._nurseries
            watching.start_soon(service)

    def _adopt_bridge(self, served: "_Served", generation: Generation, state: State) -> None:
        """Give an agent the bridge of its generation, or none. It carries all of its sockets."""
        engine, present = generation.agent.profile.bridge, served.bridge
        if present is not None and (present.engine != engine or not present.container.is_current):
            present.end()
            served.bridge = served.agent.bridge = None
        if engine is None:
            return
        if served.bridge is None:
            from airlock_daemon.serving.daemon.bridge_container import make_bridge  # noqa: PLC0415

            folder = os.path.join(self._sockets.path, generation.agent.name)
            served.bridge = make_bridge(engine, folder, state, self._shared, before=present)
            served.agent.bridge = served.bridge.container
            if self._nurseries is not None:
                _, requests, watching = self._nurseries
                watching.start_soon(served.bridge.run, served.listeners, requests)
        served.bridge.offer(tuple(served.listeners), generation)

    def _add(self, generation: Generation) -> "_Served":
        name = generation.agent.name
        left = self._leaving.pop(name, None)
        if left is None:
            served = _Served(AgentState(generation, self._shared))
        else:
            # Its open connections and running requests still count.
            left.waiting.cancel()
            served = _Served(left.agent)
            served.agent.adopt(generation)
            served.bridge = left.bridge
            if left.bridge is not None:
                left.bridge.listeners = served.listeners
        if self._nurseries is not None:
            accepting, _, _ = self._nurseries
            accepting.start_soon(self._attend, name, served)
        return served

    def _open(self, served: "_Served", name: str, listening: socket.socket, state: State) -> None:
        """Serve another socket of an agent."""
        service: Service = Clients(self._shared, served.agent)
        if name == HTTPS and self._https is not None:
            service = served.agent.apis = self._https.serve(served.agent)
        elif name == ENGINE:
            from airlock_daemon.serving.daemon.docker import DockerService  # noqa: PLC0415

            service = served.agent.engines = DockerService(self._shared, served.agent, state)
        listener = Listener(self._shared, served.agent, listening, service)
        opened = served.listeners[name] = _AgentListener(name, listening, listener)
        if self._nurseries is not None:
            accepting, requests, _ = self._nurseries
            accepting.start_soon(opened.accept, requests)

    def _remove(self, name: str) -> None:
        served = self._leaving[name] = self._served.pop(name)
        served.agent.discard_boxes()
        if self._control is not None:
            self._shared.approvals.withdraw(name)
        for opened in served.listeners.values():
            self._shut(name, opened)
        self._sockets.withhold(name)
        if served.bridge is not None:
            served.bridge.container.offer(())
        served.removed.set()

    def _shut(self, name: str, opened: "_AgentListener") -> None:
        """Remove a socket of an agent, and end its listener."""
        self._sockets.dismiss(name, opened.name)
        opened.end("removed")

    async def _attend(self, name: str, served: "_Served") -> None:
        """Wait until a removed agent has no connections, then forget it."""
        await served.removed.wait()
        for opened in served.listeners.values():
            # Clients that had connected by then are still accepted.
            await opened.closed.wait()
        with served.waiting:
            await served.agent.gate.wait_closed()
            if served.agent.engines is not None:
                await served.agent.engines.remove_own()
            if served.bridge is not None:
                served.bridge.end()
            await trio.lowlevel.checkpoint_if_cancelled()
            del self._leaving[name]
            self._shared.audit.close_account(name)


class _Served:
    """One agent with its sockets by name, and the scope of its wait to leave."""

    def __init__(self, agent: AgentState) -> None:
        self.agent = agent
        self.listeners: dict[str, _AgentListener] = {}
        self.bridge: AgentBridge | None = None
        self.removed = trio.Event()
        self.waiting = trio.CancelScope()


class _AgentListener:
    """One socket of an agent, closed once it stops accepting."""

    def __init__(self, name: str, listening: socket.socket, listener: Listener) -> None:
        self.name = name
        self.listener = listener
        self.closed = trio.Event()
        self._listening = listening
        self._accepting = trio.CancelScope()

    async def accept(self, requests: trio.Nursery) -> None:
        """Accept until `end`."""
        with self._accepting:
            await self.listener.run(requests)
        self._listening.close()
        self.closed.set()

    def end(self, reason: Reason) -> None:
        """Stop accepting, and start nothing for connected clients."""
        self.listener.stop(reason)
        self._accepting.cancel()


def _list_sockets(generation: Generation) -> Iterator[str]:
    """The names of an agent's sockets."""
    yield SOCKET
    if generation.apis:
        yield HTTPS
    if generation.docker is not None:
        yield ENGINE


_TOOL = ("serving.request.tool", "serving.request.command", "boundary.command.stdio")
_CONTAINERS = "boundary.identity.engine_sockets"
_BOX = ("serving.request.boxed", "boundary.box.prewarmed")


def _list_granted(generation: Generation) -> list[Module]:
    grant = generation.grant
    return [module for name, module in grant.modules.items() if grant.grants(name)]


def has_boxes(generation: Generation) -> bool:
    """Whether any of the agent's commands needs a box."""
    return any(each.wants_box for each in _list_granted(generation))


async def settle_granted(setup: Setup, shared: DaemonState) -> tuple[Setup, str | None]:
    """As `boxes.settle_boxes`, which is imported only if a module wants a box."""
    generations = setup.generations.values()
    if not any(each.wants_box for one in generations for each in one.grant.modules.values()):
        return setup, None
    from airlock_daemon.serving.daemon.boxes import settle_boxes  # noqa: PLC0415

    return await settle_boxes(setup, shared)


def load_granted(generations: Iterable[Generation]) -> None:
    """Import what serves all that they grant, and nothing else; nothing is unloaded."""
    names = {name for generation in generations for name in _list_wanted(generation)}
    for name in sorted(names):
        import_module(f"airlock_daemon.{name}")


def _list_wanted(generation: Generation) -> Iterator[str]:
    """Yield the modules of an agent's hooks, approvals, sockets, bridge and commands."""
    agent = generation.agent
    is_asking = agent.profile.approve is not None
    if agent.hooks.pre_exec is not None:
        yield "serving.request.hooks"
    if agent.hooks.post_exec is not None:
        yield "serving.request.post_exec"
    if is_asking:
        yield "serving.request.approvals"
    if generation.apis:
        yield from ("serving.daemon.https", _CONTAINERS, "setup.trusted_command")
    if agent.profile.bridge is not None:
        yield "serving.daemon.bridge_container"
    if generation.docker is not None:
        yield from ("serving.daemon.docker", _CONTAINERS)
    for module in _list_granted(generation):
        if module.broker is None:
            yield from (*_TOOL, *(_BOX if module.wants_box else ()))
        else:
            find_broker(module)
    # Also for the git of a box, whose pushes are relayed.
    if is_asking and generation.grant.grants_git():
        yield "boundary.brokers.git.patient_push"
