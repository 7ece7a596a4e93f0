"""The bridge container of an agent, which the daemon runs by the engine's own command.

`docker run -i` is all that it needs of an engine: no socket, port or token, and no directory of
this host. The container has the shim alone, no network, no capabilities and no user of the host;
its one volume, of a random name, has the agent's sockets. Whoever mounts the volume is the agent:
the name is in the state directory, and stays with the agent until the daemon removes both.

Whatever ends the container (somebody kills or pauses it, the engine restarts, the machine sleeps),
another one takes its place in the same volume, and containers that mount it work on.
"""

import os
import re
import secrets
from collections.abc import Awaitable, Collection, Mapping
from contextlib import suppress
from typing import Protocol

import trio

from airlock_daemon.errors import AirlockError
from airlock_daemon.files import read_written
from airlock_daemon.serving.daemon.bridge import Accept, Bridge, Serve
from airlock_daemon.serving.daemon.engine_command import (
    PROGRAM,
    USER,
    EngineCommand,
    list_labels,
    remove_volume,
)
from airlock_daemon.serving.daemon.listener import Listener
from airlock_daemon.serving.request import DaemonState, log
from airlock_daemon.setup.bridge import BridgeVolume
from airlock_daemon.setup.client import ContainerClient
from airlock_daemon.setup.generation import NAMES, SOCKET_DIRECTORY, Generation, State
from airlock_daemon.threads import run_in_thread
from airlock_wire import quote

FIRST_DELAY_S = 0.2
MAX_DELAY_S = 30.0
"""Seconds before another container takes the place of one: doubled each time, unless it lived
longer than that."""
_LEFT_S = 5.0
_SAID = 4096
"""How much is kept of what the engine's command says."""
_LARGEST = 4 << 20
"""The most bytes of a file beside the sockets: a bundle of certificates has some 200,000."""

# A name in the protocol (S-02). A person's module may have other files in that directory.
_NAME = re.compile(r"[a-z][a-z0-9._-]{0,63}", re.ASCII)

# What one bridge may use: its tables are 258 MiB when every stream's window is full.
_LIMITS = ("--pids-limit=8", "--memory=384m", "--ulimit=nofile=4096:4096")
_WALLS = (
    "--network=none",
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    f"--user={USER}:{USER}",
    # The default driver would write all that passes to the engine's disk.
    "--log-driver=none",
    "--no-healthcheck",
)


class BridgeContainer:
    """The bridge of one agent at one engine. A task must `run` it, and may then `remove` it."""

    def __init__(self, agent: str, engine: EngineCommand, *, directory: str, state: State) -> None:
        """`directory` is the agent's sockets on this host, with the files of its containers."""
        self._agent = agent
        self._engine = engine
        self._directory = directory
        self._state = state
        self._bridge: Bridge | None = None
        self._shim = ""
        self._volume: BridgeVolume | None = None
        self._sockets: tuple[str, ...] = ()
        self._files: tuple[str, ...] = ()
        self._has_news = trio.Event()

    @property
    def is_current(self) -> bool:
        """Whether its volume is still that of the agent, which may be another one of this name."""
        try:
            return self._volume in (None, self._state.bridges.find(self._agent))
        except AirlockError:
            # Another one tells of it, as it has no volume.
            return False

    def offer(self, sockets: tuple[str, ...], *, files: tuple[str, ...] = ()) -> None:
        """Have these sockets in the volume from now on, and those of these files that are there."""
        self._files = files
        before, self._sockets = self._sockets, sockets
        if self._bridge is not None and before != sockets:
            self._bridge.listen(sockets)
        self.renew()

    def renew(self) -> None:
        """The files have changed."""
        self._has_news.set()

    async def run(self, serve: Serve, requests: trio.Nursery) -> None:
        """Keep a bridge until cancelled; tasks of `requests` serve its connections by `serve`."""
        delay = FIRST_DELAY_S
        while True:
            began = trio.current_time()
            try:
                await self._run_one(serve, requests)
                log.info("agent %s: its bridge has ended, and is started again", self._agent)
            except AirlockError as error:
                text = "agent %s: its containers have no bridge: %s; %s"
                log.error(text, self._agent, error.message, error.hint)
            if trio.current_time() - began > MAX_DELAY_S:
                delay = FIRST_DELAY_S
            await trio.sleep(delay)
            delay = min(2 * delay, MAX_DELAY_S)

    async def remove(self) -> None:
        """Remove the container and the volume, which nothing serves any more. Logs what stays."""
        if self._volume is not None:
            await remove_volume(self._engine, self._state, self._volume)

    async def _run_one(self, serve: Serve, requests: trio.Nursery) -> None:
        """Start a container, and carry its connections to its end. Raises AirlockError."""
        volume = self._volume = await self._find_volume()
        image, self._shim = await self._engine.prepare_image()
        await self._engine.make_volume(volume)
        await self._engine.end_containers(volume)
        # The name of a container that was just removed may still be taken.
        name = f"{volume.name}-{secrets.token_hex(4)}"
        mount = f"--mount=type=volume,source={volume.name},target={SOCKET_DIRECTORY}"
        options = ("--interactive", "--rm", "--pull=never", f"--name={name}", mount)
        process = await self._engine.start(
            *("run", *options, *list_labels(volume), *_WALLS, *_LIMITS),
            *(image, "--bridge", SOCKET_DIRECTORY),
        )
        try:
            await self._attend(process, serve, requests)
        finally:
            with trio.CancelScope(shield=True):
                await self._end(process, name)

    async def _find_volume(self) -> BridgeVolume:
        """The agent's volume at this engine. Raises AirlockError."""
        volume = self._state.bridges.make(self._agent, self._engine.name)
        if volume.engine != self._engine.name:
            # [bridge] has named another engine while no daemon ran.
            await remove_volume(self._engine.find(volume.engine), self._state, volume)
            volume = self._state.bridges.make(self._agent, self._engine.name)
        return volume

    async def _attend(self, process: trio.Process, serve: Serve, requests: trio.Nursery) -> None:
        assert process.stdin is not None  # noqa: S101 - by PIPE
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        stream = trio.StapledStream(process.stdin, process.stdout)
        said = bytearray()
        failure: AirlockError | None = None
        bridge = self._bridge = Bridge(stream, serve, requests)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_keep_last, process.stderr, said)
                nursery.start_soon(self._publish, bridge)
                try:
                    await bridge.run(self._sockets)
                except AirlockError as error:
                    failure = error
                if failure is None:
                    # What the command says of its end comes before that.
                    with trio.move_on_after(_LEFT_S):
                        await process.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._bridge = None
        if failure is not None:
            raise failure
        if process.returncode:
            raise self._engine.explain(bytes(said))

    async def _publish(self, bridge: Bridge) -> None:
        """Keep the files in the volume as they are in the agent's directory."""
        sent: dict[str, bytes] = {}
        while True:
            self._has_news = trio.Event()
            files = await run_in_thread(self._read_files)
            gone = {name: b"" for name in sent if name not in files}
            changed = {name: data for name, data in files.items() if sent.get(name) != data}
            await bridge.publish({**gone, **changed})
            sent = dict(files)
            await self._has_news.wait()

    def _read_files(self) -> dict[str, bytes]:
        found = {}
        # Containers mount the shim from there under the names of tools.
        with suppress(OSError), open(self._shim, "rb") as file:
            found[PROGRAM.strip("/")] = file.read()
        for name in self._files:
            if name in found or name in NAMES or not _NAME.fullmatch(name):
                text = "agent %s: its containers do not get %s: no bridge carries that name"
                log.warning(text, self._agent, quote(f"{SOCKET_DIRECTORY}/{name}"))
                continue
            # What a symlink of its names would be shown to all containers of the agent.
            data = read_written(os.path.join(self._directory, name), limit=_LARGEST)
            if data is not None:
                found[name] = data
        return found

    async def _end(self, process: trio.Process, name: str) -> None:
        """End a container by the end of its stdin, or, if that is of no use, by force."""
        if process.stdin is not None:
            await process.stdin.aclose()
        with trio.move_on_after(_LEFT_S):
            await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
            # A paused one ends by this too. An engine that hangs is not waited for: the daemon may
            # be ending, and the next bridge tries again.
            with suppress(AirlockError), trio.move_on_after(_LEFT_S):
                await self._engine.ask("rm", "--force", name)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                await stream.aclose()


class _Opened(Protocol):
    """A socket of an agent on this host."""

    listener: Listener


class AgentBridge:
    """The bridge of one agent at one engine, until it is removed."""

    def __init__(
        self, engine: str, container: BridgeContainer, *, before: "AgentBridge | None"
    ) -> None:
        """`before` is the agent's at another engine, whose volume has to be removed first."""
        self.engine = engine
        self.container = container
        self.listeners: Mapping[str, _Opened] = {}
        self._before = before
        self._is_over = trio.Event()
        self._running = trio.CancelScope()

    async def run(self, listeners: Mapping[str, _Opened], requests: trio.Nursery) -> None:
        """Keep the bridge until `end`, and then remove it. `listeners` are those of its sockets."""
        self.listeners = listeners
        if self._before is not None:
            await self._before.wait()
        with self._running:
            await self.container.run(self._serve, requests)
        await self.container.remove()
        self._is_over.set()

    def offer(self, sockets: tuple[str, ...], generation: Generation) -> None:
        """Have these sockets in the volume, and the files of a generation."""
        self.container.offer(sockets, files=ContainerClient.list_published(generation.apis))

    async def wait(self) -> None:
        """Wait until it is removed."""
        await self._is_over.wait()

    def end(self) -> None:
        """The agent has it no more."""
        self._running.cancel()

    def _serve(self, name: str, accept: Accept) -> tuple[bytes, Awaitable[None]]:
        # An agent that was removed and comes back has its bridge still.
        opened = self.listeners.get(name)
        if opened is not None:
            return opened.listener.serve_bridged(accept)
        return b"", trio.lowlevel.checkpoint()  # noqa: ASYNC105 - as the caller does


def make_bridge(
    engine: str, directory: str, state: State, shared: DaemonState, *, before: AgentBridge | None
) -> AgentBridge:
    """Make an agent's bridge at `engine`; `directory`, named after the agent, has its sockets.

    `before` is as in `AgentBridge`.
    """
    container = BridgeContainer(
        os.path.basename(directory),
        _find_engine(engine, shared),
        directory=directory,
        state=state,
    )
    return AgentBridge(engine, container, before=before)


async def remove_stale_volumes(bridged: Collection[str], state: State, shared: DaemonState) -> None:
    """Remove the volumes of bridges that none of the agents `bridged` has."""
    try:
        left = [each for each in state.bridges.list_all() if each.agent not in bridged]
    except AirlockError as error:
        log.warning("%s; %s", error.message, error.hint)
        return
    for volume in left:
        await remove_volume(_find_engine(volume.engine, shared), state, volume)


def _find_engine(name: str, shared: DaemonState) -> EngineCommand:
    return EngineCommand(
        name, search_path=lambda: shared.search_path, environment=shared.environment
    )


async def _keep_last(stream: trio.abc.ReceiveStream, said: bytearray) -> None:
    """Keep the last bytes of a stream, to its end."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for data in stream:
            said += data
            del said[:-_SAID]
