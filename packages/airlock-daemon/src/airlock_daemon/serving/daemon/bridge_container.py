"""The bridge container of an agent, which the daemon runs by the engine's own command.

`docker run -i` is all that it needs of an engine: no socket, port or token, and no directory of
this host. The container has the shim alone, no network, no capabilities and no user of the host;
its one volume, of a random name, has the agent's sockets. Whoever mounts the volume is the agent:
the name is in the state directory, and stays with the agent until the daemon removes both.

Whatever ends the container (somebody kills or pauses it, the engine restarts, the machine sleeps),
another one takes its place in the same volume, and containers that mount it work on.
"""

import io
import os
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256

import trio

from airlock_daemon.errors import AirlockError, Failed
from airlock_daemon.platform.threads import run_in_thread
from airlock_daemon.serving.daemon.bridge import Bridge, Serve
from airlock_daemon.serving.request.state import log
from airlock_daemon.setup.client import SOCKET_DIRECTORY
from airlock_daemon.setup.shim_program import find_shim
from airlock_daemon.setup.sockets import CLIENT_ENV, PUBLISHED
from airlock_daemon.setup.state import State
from airlock_wire import quote

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 30.0
"""Seconds before another container takes the place of one: doubled each time, unless it lived
longer than that."""
ANSWER_S = 60.0
_LEFT_S = 5.0

LABEL = "airlock.bridge"
"""The label of an agent's volume and bridge container; its value is the agent."""

_IMAGE = "airlock-bridge"
_PROGRAM = "/airlock-shim"
_USER = 65534
_SAID = 4096
"""How much is kept of what the engine's command says."""

# What one bridge may use: its tables are 258 MiB when every stream's window is full.
_LIMITS = ("--pids-limit=8", "--memory=384m", "--ulimit=nofile=4096:4096")
_WALLS = (
    "--network=none",
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    f"--user={_USER}:{_USER}",
    # The default driver would write all that passes to the engine's disk.
    "--log-driver=none",
    "--no-healthcheck",
)


class BridgeContainer:
    """The bridge of one agent at one engine. A task must `run` it, and may then `remove` it."""

    def __init__(
        self,
        agent: str,
        engine: str,
        *,
        directory: str,
        state: State,
        search_path: Callable[[], str],
        environment: Mapping[str, str],
    ) -> None:
        """`engine` is the name of its command, found in `search_path`.

        `directory` is the agent's sockets on this host, with the files that its containers need.
        `environment` is the daemon's, by which the command finds its engine.
        """
        self._agent = agent
        self._engine = engine
        self._directory = directory
        self._state = state
        self._search_path = search_path
        self._environment = dict(environment)
        self._bridge: Bridge | None = None
        self._shim = ""
        # It is forgotten in the state as soon as a person removes the agent.
        self._volume: str | None = None
        self._sockets: tuple[str, ...] = ()
        self._has_news = trio.Event()

    def offer(self, sockets: tuple[str, ...]) -> None:
        """Have these sockets in the volume from now on, and the present files beside them."""
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
            if trio.current_time() - began > LONGEST_DELAY_S:
                delay = FIRST_DELAY_S
            await trio.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY_S)

    async def remove(self) -> None:
        """Remove the container and the volume, which nothing serves any more. Logs what stays."""
        volume = self._volume
        if volume is None:
            return
        try:
            await self._end_others(volume)
            await self._ask("volume", "rm", "--force", volume)
            if self._state.find_volume(self._agent) == volume:
                self._state.forget_volume(self._agent)
        except AirlockError as error:
            log.warning(
                "agent %s: its volume %s stays at %s: %s; end the containers that mount it, then: "
                "%s volume rm %s",
                *(self._agent, volume, self._engine, error.message, self._engine, volume),
            )

    async def _run_one(self, serve: Serve, requests: trio.Nursery) -> None:
        """Start a container, and carry its connections to its end. Raises AirlockError."""
        image = await self._prepare_image()
        volume = self._state.find_volume(self._agent, make=True) or ""
        self._volume = volume
        label = f"{LABEL}={self._agent}"
        await self._ask("volume", "create", "--label", label, volume)
        await self._end_others(volume)
        # The name of a container that was just removed may still be taken.
        name = f"{volume}-{secrets.token_hex(4)}"
        mount = f"type=volume,source={volume},target={SOCKET_DIRECTORY}"
        words = ("run", "--interactive", "--rm", "--pull=never", f"--name={name}")
        marks = ("--label", label, "--label", f"{LABEL}.volume={volume}")
        command = (image, "--bridge", SOCKET_DIRECTORY)
        argv = (self._find_program(), *words, *marks, *_WALLS, *_LIMITS, "--mount", mount, *command)
        try:
            process = await trio.lowlevel.open_process(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment,
                # Ctrl-C in the daemon's terminal is for the daemon.
                start_new_session=True,
            )
        except OSError as error:
            raise self._not_run(error) from error
        try:
            await self._attend(process, serve, requests)
        finally:
            with trio.CancelScope(shield=True):
                await self._end(process, name)

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
                # What the command says of its end comes before that.
                with trio.move_on_after(_LEFT_S):
                    await process.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._bridge = None
        if failure is not None:
            raise failure
        if process.returncode:
            raise self._explain(bytes(said))

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
        # Containers mount the shim from there under the names of tools.
        paths = {_PROGRAM.strip("/"): self._shim}
        for name in (*PUBLISHED, CLIENT_ENV):
            paths[name] = os.path.join(self._directory, name)
        found = {}
        for name, path in paths.items():
            with suppress(OSError), open(path, "rb") as file:
                found[name] = file.read()
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
            # A paused one ends by this too.
            with suppress(AirlockError):
                await self._ask("rm", "--force", name)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                await stream.aclose()

    async def _end_others(self, volume: str) -> None:
        """Remove containers that an earlier daemon, or this one, has left. Raises AirlockError."""
        mark = f"label={LABEL}.volume={volume}"
        left = (await self._ask("ps", "--all", "--quiet", "--filter", mark)).split()
        if left:
            await self._ask("rm", "--force", *left)

    async def _prepare_image(self) -> str:
        """Find or make the image, which has the shim alone. Raises AirlockError."""
        processor = await self._ask("version", "--format", "{{.Server.Arch}}")
        shim = self._shim = find_shim(processor)
        archive = await run_in_thread(lambda: _pack(shim))
        name = f"{_IMAGE}:{sha256(archive).hexdigest()[:16]}"
        if await self._ask("images", "--quiet", name):
            return name
        entrypoint = f'ENTRYPOINT ["{_PROGRAM}"]'
        platform = f"--platform=linux/{processor}"
        words = ("import", platform, "--change", entrypoint, "-", name)
        await self._ask(*words, said=archive)
        return name

    async def _ask(self, *words: str, said: bytes = b"") -> str:
        """Run the engine's command, and return what it prints. Raises AirlockError."""
        try:
            with trio.fail_after(ANSWER_S):
                done = await trio.run_process(
                    (self._find_program(), *words),
                    stdin=said,
                    capture_stdout=True,
                    capture_stderr=True,
                    check=False,
                    env=self._environment,
                    start_new_session=True,
                )
        except trio.TooSlowError:
            raise Failed(
                f"{self._engine} {words[0]} did not answer in {ANSWER_S:g} s",
                hint=f"see whether the engine runs: {self._engine} info",
            ) from None
        except OSError as error:
            raise self._not_run(error) from error
        if done.returncode:
            raise self._explain(done.stderr)
        return done.stdout.decode(errors="replace").strip()

    def _find_program(self) -> str:
        program = shutil.which(self._engine, path=self._search_path())
        if program is None:
            raise Failed(
                f"{self._engine} is not on the daemon's PATH, and runs the bridge",
                hint="install it, or set [daemon] path in config.toml, and run: airlock reload",
            )
        return program

    def _not_run(self, error: OSError) -> Failed:
        return Failed(
            f"{self._engine} cannot be run: {error.strerror}",
            hint=f"try as the daemon's user: {self._engine} info",
        )

    def _explain(self, said: bytes) -> Failed:
        lines = said.decode(errors="replace").strip().splitlines()
        reason = quote(lines[-1]) if lines else "it does not say why"
        return Failed(
            f"{self._engine} does not run the bridge: {reason}",
            hint=f"see whether the engine runs, and may be used: {self._engine} info",
        )


async def _keep_last(stream: trio.abc.ReceiveStream, said: bytearray) -> None:
    """Keep the last bytes of a stream, to its end."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for data in stream:
            said += data
            del said[:-_SAID]


def _pack(shim: str) -> bytes:
    """The archive of the image: the shim, and the directory whose owner a new volume takes over.

    It is the same for the same shim, as its hash names the image.
    """
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in ("run", SOCKET_DIRECTORY.strip("/")):
            directory = tarfile.TarInfo(path)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o755
            if path != "run":
                directory.uid = directory.gid = _USER
            archive.addfile(directory)
        with open(shim, "rb") as file:
            program = tarfile.TarInfo(_PROGRAM.strip("/"))
            program.size, program.mode = os.fstat(file.fileno()).st_size, 0o755
            archive.addfile(program, file)
    return written.getvalue()
