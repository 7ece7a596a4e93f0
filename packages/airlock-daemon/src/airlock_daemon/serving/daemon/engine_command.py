"""A container engine, by its own command: images, volumes and containers of bridges."""

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from hashlib import sha256

import msgspec
import trio

from airlock_daemon.errors import AirlockError, Failed
from airlock_daemon.serving.request import log
from airlock_daemon.setup.bridge import BridgeVolume
from airlock_daemon.setup.generation import BRIDGED, SOCKET_DIRECTORY, State
from airlock_daemon.setup.shim_program import INSTALL, find_shim
from airlock_daemon.threads import run_in_thread
from airlock_wire import quote

ANSWER_S = 60.0

LABEL = "airlock.bridge"
"""The label of an agent's volumes and bridge container; its value is the agent."""
PROGRAM = "/airlock-shim"
"""The shim in the image."""
USER = 65534

_IMAGE = "airlock-bridge"
_VOLUME_LABEL = f"{LABEL}.volume"


class _Dialect(msgspec.Struct, frozen=True):
    """How one engine's words differ: what prints its processor, and the option that sets it."""

    processor: tuple[str, ...]
    option: str


_DIALECTS = dict(
    zip(
        BRIDGED,
        (
            _Dialect(("version", "--format", "{{.Server.Arch}}"), "--platform=linux/"),
            _Dialect(("info", "--format", "{{.Host.Arch}}"), "--arch="),
        ),
        strict=True,
    )
)


class EngineCommand:
    """The command `name` of an engine, found at each call."""

    def __init__(
        self, name: str, *, search_path: Callable[[], str], environment: Mapping[str, str]
    ) -> None:
        """`environment` is the daemon's, by which the command finds its engine."""
        self.name = name
        self._search_path = search_path
        self._environment = dict(environment)

    def find(self, name: str) -> "EngineCommand":
        """The command of another engine."""
        return EngineCommand(name, search_path=self._search_path, environment=self._environment)

    async def start(self, *words: str) -> trio.Process:
        """Start the command with pipes. Raises AirlockError."""
        pipe = subprocess.PIPE
        try:
            return await trio.lowlevel.open_process(
                (self._find_program(), *words),
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                env=self._environment,
                # Ctrl-C in the daemon's terminal is for the daemon.
                start_new_session=True,
            )
        except OSError as error:
            raise self._not_run(error) from error

    async def ask(self, *words: str, said: bytes = b"") -> str:
        """Run the command, and return what it prints. Raises AirlockError."""
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
                f"{self.name} {words[0]} did not answer in {ANSWER_S:g} s",
                hint=f"see whether the engine runs: {self.name} info",
            ) from None
        except OSError as error:
            raise self._not_run(error) from error
        if done.returncode:
            raise self.explain(done.stderr)
        return done.stdout.decode(errors="replace").strip()

    async def prepare_image(self) -> tuple[str, str]:
        """The name of the image, which has the shim alone, and the path of that shim here.

        Raises AirlockError.
        """
        dialect = _DIALECTS[self.name]
        processor = await self.ask(*dialect.processor)
        shim = find_shim(processor, search_path=self._search_path())
        try:
            archive = await run_in_thread(lambda: _pack(shim))
        except OSError as error:
            # An upgrade may just be replacing it.
            raise Failed(f"{shim} cannot be read: {error.strerror}", hint=INSTALL) from error
        name = f"{_IMAGE}:{sha256(archive).hexdigest()[:16]}"
        if not await self.ask("images", "--quiet", name):
            entrypoint = f'ENTRYPOINT ["{PROGRAM}"]'
            option = f"{dialect.option}{processor}"
            await self.ask("import", option, "--change", entrypoint, "-", name, said=archive)
        return name, shim

    async def make_volume(self, volume: BridgeVolume) -> None:
        """Make a volume unless it is there. Raises AirlockError."""
        # podman refuses to make one that is there.
        if not await self._has_volume(volume.name):
            await self.ask("volume", "create", "--label", f"{LABEL}={volume.agent}", volume.name)

    async def remove_volume(self, name: str) -> None:
        """Remove a volume, if it is there and no container mounts it. Raises AirlockError."""
        # By --force podman would remove the containers that mount it.
        if await self._has_volume(name):
            await self.ask("volume", "rm", name)

    async def _has_volume(self, name: str) -> bool:
        # A filter finds names that begin alike, too.
        return (
            name in (await self.ask("volume", "ls", "--quiet", "--filter", f"name={name}")).split()
        )

    async def end_containers(self, volume: BridgeVolume, *, label: str = _VOLUME_LABEL) -> None:
        """Remove the bridge's containers that an earlier daemon, or this one, has left.

        Or those of another label for the volume. Raises AirlockError.
        """
        mark = f"label={label}={volume.name}"
        left = (await self.ask("ps", "--all", "--quiet", "--filter", mark)).split()
        if left:
            await self.ask("rm", "--force", *left)

    def explain(self, said: bytes) -> Failed:
        """The error of a command that has failed, and printed this."""
        lines = said.decode(errors="replace").strip().splitlines()
        reason = quote(lines[-1]) if lines else "it does not say why"
        return Failed(
            f"{self.name} does not run the bridge: {reason}",
            hint=f"see whether the engine runs, and may be used: {self.name} info",
        )

    def _find_program(self) -> str:
        program = shutil.which(self.name, path=self._search_path())
        if program is None:
            raise Failed(
                f"{self.name} is not on the daemon's PATH, and runs the bridge",
                hint="install it, or set [daemon] path in config.toml, and run: airlock reload",
            )
        return program

    def _not_run(self, error: OSError) -> Failed:
        return Failed(
            f"{self.name} cannot be run: {error.strerror}",
            hint=f"try as the daemon's user: {self.name} info",
        )


def list_labels(volume: BridgeVolume) -> tuple[str, ...]:
    """The options of `run` that mark the container of a volume's bridge."""
    marks = (f"{LABEL}={volume.agent}", f"{_VOLUME_LABEL}={volume.name}")
    return tuple(f"--label={mark}" for mark in marks)


async def remove_volume(engine: EngineCommand, state: State, volume: BridgeVolume) -> None:
    """Remove a bridge's containers and volumes, and the note of them.

    What cannot be removed is logged, taken from its agent, and tried again by the next daemon.
    """
    try:
        await engine.end_containers(volume)
        # One of a command that was killed would hold the volumes for good.
        await engine.end_containers(volume, label=BridgeVolume.COPIES_LABEL)
        for name in (volume.home, volume.name):
            await engine.remove_volume(name)
        state.bridges.forget(volume)
    except AirlockError as error:
        log.warning(
            "the volume %s, which no agent has now, stays at %s: %s; end the containers that mount "
            "it, and start the daemon again, or: %s volume rm %s %s",
            *(volume.name, engine.name, error.message, engine.name, volume.name, volume.home),
        )
        try:
            state.bridges.release(volume)
        except AirlockError as unwritten:
            log.warning("%s; %s", unwritten.message, unwritten.hint)


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
                directory.uid = directory.gid = USER
            archive.addfile(directory)
        with open(shim, "rb") as file:
            program = tarfile.TarInfo(PROGRAM.strip("/"))
            program.size, program.mode = os.fstat(file.fileno()).st_size, 0o755
            archive.addfile(program, file)
    return written.getvalue()
