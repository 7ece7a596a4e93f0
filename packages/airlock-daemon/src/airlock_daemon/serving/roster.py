"""The agents that are served: who comes, who changes and who goes, while requests run."""

import socket
from collections.abc import Mapping

import msgspec
import trio

from airlock_daemon.command.launcher import descriptor_limit
from airlock_daemon.errors import AirlockError
from airlock_daemon.request.state import AgentState, DaemonState, log
from airlock_daemon.serving.listener import Listener
from airlock_daemon.serving.sockets import SocketsDirectory
from airlock_daemon.setup.generation import Generation
from airlock_daemon.setup.limits import share_descriptors
from airlock_daemon.setup.load import Setup


class Roster:
    """Serves the agents of the latest reading of the files. A task must `run` it."""

    def __init__(self, shared: DaemonState, sockets: SocketsDirectory) -> None:
        """Begin without an agent; `shared` and `sockets` stay their owner's."""
        self._shared = shared
        self._sockets = sockets
        self._served: dict[str, _Served] = {}
        # Those that were removed, and have connections open.
        self._leaving: dict[str, _Served] = {}
        self._nurseries: tuple[trio.Nursery, trio.Nursery] | None = None

    def adopt(self, setup: Setup) -> None:
        """Serve the agents of `setup` from now on, each by its new generation, and no others.

        What runs goes on under the generation that it began with, and counts for its agent still.
        An agent that is not there any more has no socket from now on, and begins nothing. Raises
        AirlockError, with everything as it was before, where a socket cannot be made.
        """
        generations = self._fit(setup.generations)
        added = self._listen([name for name in generations if name not in self._served])
        # From here on nothing fails, and no request comes in between.
        self._shared.adopt(setup)
        for name in [name for name in self._served if name not in generations]:
            self._remove(name)
        for name, served in self._served.items():
            served.agent.adopt(generations[name])
        for name, listening in added.items():
            self._add(generations[name], listening)

    async def run(self, requests: trio.Nursery) -> None:
        """Accept connections until cancelled; each is served by a task of `requests`."""
        async with trio.open_nursery() as accepting:
            self._nurseries = accepting, requests
            for name, served in self._served.items():
                accepting.start_soon(self._accept, name, served, requests)
            await trio.sleep_forever()

    def stop(self) -> None:
        """From now on begin nothing, and tell every client that the daemon stops."""
        for served in self._served.values():
            served.listener.stop("stop")

    def _fit(self, generations: Mapping[str, Generation]) -> dict[str, Generation]:
        """Lower the limits of all agents as far as the table of descriptors can bear them."""
        table = descriptor_limit()
        fitted = {}
        for name, generation in generations.items():
            limits = share_descriptors(
                generation.limits,
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

    def _listen(self, names: list[str]) -> dict[str, socket.socket]:
        made: dict[str, socket.socket] = {}
        try:
            for name in names:
                made[name] = self._sockets.listen(name)
        except AirlockError:
            for name, listening in made.items():
                self._sockets.dismiss(name)
                listening.close()
            raise
        return made

    def _add(self, generation: Generation, listening: socket.socket) -> None:
        name = generation.agent.name
        left = self._leaving.pop(name, None)
        if left is None:
            agent = AgentState(generation, self._shared)
        else:
            # What it has open and running from before counts on.
            left.waiting.cancel()
            agent = left.agent
            agent.adopt(generation)
        served = self._served[name] = _Served(self._shared, agent, listening)
        if self._nurseries is not None:
            accepting, requests = self._nurseries
            accepting.start_soon(self._accept, name, served, requests)

    def _remove(self, name: str) -> None:
        served = self._leaving[name] = self._served.pop(name)
        self._sockets.dismiss(name)
        served.agent.room.adopt(None)
        served.listener.stop("removed")
        served.accepting.cancel()

    async def _accept(self, name: str, served: "_Served", requests: trio.Nursery) -> None:
        with served.accepting:
            await served.listener.run(requests)
        # It was removed, and those who had connected by then are accepted.
        served.listening.close()
        with served.waiting:
            await served.agent.gate.wait_left()
            await trio.lowlevel.checkpoint_if_cancelled()
            del self._leaving[name]
            self._shared.audit.close_account(name)


class _Served:
    """One agent, its socket, and the scopes of accepting and of waiting until it has left."""

    def __init__(self, shared: DaemonState, agent: AgentState, listening: socket.socket) -> None:
        self.agent = agent
        self.listening = listening
        self.listener = Listener(shared, agent, listening)
        self.accepting = trio.CancelScope()
        self.waiting = trio.CancelScope()
