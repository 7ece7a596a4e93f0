"""Tests of `airlock_daemon.serving.daemon.bridge_container`, with a command that plays an engine.

It runs the shim of the containers on this host, in a folder that stands for the volume.
"""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from airlock_daemon.serving.daemon.bridge import Accept
from airlock_daemon.serving.daemon.bridge_container import BridgeContainer
from airlock_daemon.serving.daemon.engine_command import EngineCommand, remove_volume
from airlock_daemon.setup.bridge import BridgeVolumes
from airlock_daemon.setup.shim_program import find_shim
from airlock_daemon.setup.state import State

_ENGINE = """#!/bin/sh
echo "$*" >>{folder}/asked
case "$1" in
version) uname -m ;;
images) echo there ;;
volume)
    case "$2" in
    rm) rm -rf {volume} ;;
    ls) [ ! -d {volume} ] || sed -n 's/^volume create .* //p' {folder}/asked ;;
    # As podman has it.
    create) mkdir {volume} ;;
    esac
    ;;
run) echo $$ >>{folder}/started; exec {shim} --bridge {volume} ;;
esac
"""


class Engine:
    """The folder of an engine: what it was asked, and the processes that are its containers."""

    def __init__(self, folder: Path) -> None:
        self.volume = folder / "volume"
        self.agent = folder / "agent"
        self.state = State(os.fspath(folder / "state"))
        self.volumes = BridgeVolumes(self.state)
        self._folder = folder
        self.agent.mkdir()
        program = folder / "docker"
        text = _ENGINE.format(folder=folder, volume=self.volume, shim=find_shim())
        program.write_text(text)
        program.chmod(0o755)

    def asked(self, word: str) -> list[str]:
        """The calls that begin with this word."""
        lines = (self._folder / "asked").read_text().splitlines()
        return [line for line in lines if line.startswith(f"{word} ")]

    def break_off(self, call: str) -> None:
        """Have a call of two words fail from now on."""
        program = self._folder / "docker"
        refuse = f'[ "$1 $2" != "{call}" ] || exit 1\n'
        first, rest = program.read_text().split("\n", 1)
        program.write_text(f"{first}\n{refuse}{rest}")

    @property
    def started(self) -> list[int]:
        """The processes of all containers that were run."""
        return [int(line) for line in (self._folder / "started").read_text().split()]

    def make(self) -> BridgeContainer:
        """A bridge at this engine."""
        engine = self.find_command("docker")
        return BridgeContainer("my", engine, directory=os.fspath(self.agent), state=self.state)

    def find_command(self, name: str) -> EngineCommand:
        """The engine by its command."""
        folder = os.fspath(self._folder)
        return EngineCommand(name, search_path=lambda: folder, environment=dict(os.environ))

    async def ask(self, word: bytes) -> bytes:
        """Ask over the socket in the volume, as soon as one listens there; returns the answer."""
        while True:
            try:
                client = await trio.open_unix_socket(os.fspath(self.volume / "airlock.sock"))
            except OSError:
                await trio.sleep(0.01)
                continue
            async with client:
                await client.send_all(word)
                await client.send_eof()
                answer = b"".join([data async for data in client])
            # A bridge that was killed meanwhile answers nothing.
            if answer:
                return answer


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """An engine that has run nothing yet. The path of a socket in it must be short."""
    folder = Path(os.path.realpath(tmp_path))
    return Engine(folder)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    while not condition():  # noqa: ASYNC110 - it tells nobody
        await trio.sleep(0.01)


def _serve(name: str, accept: Accept) -> tuple[bytes, Awaitable[None]]:
    return b"", _echo(name, accept())


async def _echo(name: str, connection: socket.socket) -> None:
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(connection))
    async with stream:
        async for data in stream:
            await stream.send_all(name.encode() + b": " + data)


@asynccontextmanager
async def running(container: BridgeContainer) -> AsyncIterator[None]:
    """A bridge that is kept during the block."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(container.run, _serve, nursery)
        yield
        nursery.cancel_scope.cancel()


async def test_another_daemon_takes_up_the_volume_of_the_one_before(engine: Engine) -> None:
    """Whose container it removes by its label, should it be left."""
    for word in (b"before", b"after"):
        container = engine.make()
        container.offer(("airlock.sock",))
        async with running(container):
            assert await engine.ask(word) == b"airlock.sock: " + word
    volume = engine.volumes.find("my")
    assert volume is not None
    assert engine.asked("ps")[-1].endswith(f"label=airlock.bridge.volume={volume.name}")
    assert {f"source={volume.name}" in line for line in engine.asked("run")} == {True}


async def test_the_walls_of_the_container_are_asked_for(engine: Engine) -> None:
    """No network, user, capability, writable root or log of what passes."""
    container = engine.make()
    async with running(container):
        await until((engine.volume.parent / "started").exists)
    (words,) = (line.split() for line in engine.asked("run"))
    for word in (
        "--network=none",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--user=65534:65534",
        "--log-driver=none",
        "--rm",
        "--pull=never",
    ):
        assert word in words
    assert "--publish" not in words
    assert not [word for word in words if word.startswith("type=bind")]


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory", "huge"])
async def test_what_a_container_puts_in_their_place_is_not_carried(
    engine: Engine, kind: str
) -> None:
    """It may write there, if it mounts the directory: other files of this host stay here."""
    secret = engine.agent.parent / "secret"
    secret.write_text("of the host")
    planted = engine.agent / "ca.pem"
    if kind == "symlink":
        planted.symlink_to(secret)
    elif kind == "fifo":
        os.mkfifo(planted)
    elif kind == "directory":
        planted.mkdir()
    else:
        with planted.open("wb") as file:
            file.truncate(1 << 40)
    (engine.agent / "client.env").write_text("A=1\n")
    container = engine.make()
    container.offer(("airlock.sock",), files=("ca.pem", "client.env"))
    async with running(container):
        await until((engine.volume / "client.env").exists)
        assert not (engine.volume / "ca.pem").exists()


async def test_the_files_of_a_module_are_carried_by_their_names(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as kubectl's; one that the protocol cannot name, or that has a name in use, is told."""
    names = ("airlock-shim", "airlock.sock", "Config", "kubeconfig")
    for name in names:
        (engine.agent / name).write_text("of a module")
    container = engine.make()
    container.offer(("airlock.sock",), files=names)
    async with running(container):
        await until((engine.volume / "kubeconfig").exists)
        assert (engine.volume / "kubeconfig").read_text() == "of a module"
        assert (engine.volume / "airlock-shim").read_bytes()[:4] == b"\x7fELF"
        assert await engine.ask(b"x") == b"airlock.sock: x"
        assert sorted(os.listdir(engine.volume)) == ["airlock-shim", "airlock.sock", "kubeconfig"]
    assert 'do not get "/run/airlock/Config"' in caplog.text


async def test_a_volume_that_stays_is_taken_from_its_agent(engine: Engine) -> None:
    """Its containers mount it: the agent's next volume is another one, and this one is noted."""
    container = engine.make()
    container.offer(("airlock.sock",))
    async with running(container):
        await engine.ask(b"x")
    volume = engine.volumes.find("my")
    assert volume is not None
    engine.break_off("volume rm")
    await container.remove()
    (left,) = engine.volumes.list_all()
    assert (left.name, left.agent) == (volume.name, f"-{volume.name}")
    assert engine.volumes.make("my", "docker").name != volume.name


async def test_a_volume_that_stays_again_is_noted_still(engine: Engine) -> None:
    """Each daemon tries to remove it, until one does."""
    volume = engine.volumes.make("my", "docker")
    command = engine.find_command("docker")
    await command.make_volume(volume)
    engine.volumes.release(volume)
    engine.break_off("volume rm")
    (left,) = engine.volumes.list_all()
    await remove_volume(command, engine.state, left)
    assert engine.volumes.list_all() == [left]


async def test_another_engine_has_another_volume(engine: Engine) -> None:
    """The one at the engine before is removed by that engine's command."""
    before = engine.volumes.make("my", "podman")
    (engine.volume.parent / "podman").symlink_to("docker")
    await engine.find_command("podman").make_volume(before)
    container = engine.make()
    container.offer(("airlock.sock",))
    async with running(container):
        await engine.ask(b"x")
    after = engine.volumes.find("my")
    assert after is not None
    assert (after.engine, after.name == before.name) == ("docker", False)
    assert f"volume rm {before.name}" in engine.asked("volume")
    assert engine.volumes.list_all() == [after]


async def test_an_engine_that_hangs_holds_up_no_end(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the daemon, whose container takes no notice and whose command does not come back."""
    monkeypatch.setattr("airlock_daemon.serving.daemon.bridge_container._LEFT_S", 0.2)
    program = engine.volume.parent / "docker"
    text = program.read_text().replace("exec ", "trap '' TERM; exec sleep 60; exec ")
    program.write_text(text.replace("version)", "rm) exec sleep 60 ;;\nversion)"))
    container = engine.make()
    async with running(container):
        await until((engine.volume.parent / "started").exists)
        began = trio.current_time()
    assert trio.current_time() - began < 20
    assert engine.asked("rm")


async def test_an_engine_that_is_not_there_is_told(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log, with what to do; it is tried again."""
    (engine.volume.parent / "docker").unlink()
    container = engine.make()
    async with running(container):
        await until(lambda: "is not on the daemon's PATH" in caplog.text)
    assert "agent my: its containers have no bridge" in caplog.text
