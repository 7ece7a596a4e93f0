"""What hostile code sends over the door to the docker engine, beside bytes, holds up nobody."""

import inspect
import os

import pytest
from test_engine_door import BOX, run_engine, serve, world

import slow_closing
from boxing import PYTHON, needs_bubblewrap
from running import Daemon, read_until, request
from worlds import World

__all__ = ["world"]

pytestmark = needs_bubblewrap

# With TCP, of which a socket may be slow to close.
BOTH = f'{BOX}network = ["127.0.0.1:9"]\n'
ATTACKER = f"""{inspect.getsource(slow_closing)}
import os, signal
one, other = slow_to_close()
def connect():
    door = socket.socket(socket.AF_UNIX)
    door.connect("\\0" + os.environ["DOCKER_HOST"].removeprefix("unix://@"))
    return door
"""
WAYS = {
    "on its way to the engine": "",
    "where none is reached": "",
    "behind others": "kept = [connect() for _ in range(20)]\n",
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_slow_to_close_holds_up_nobody(world: World, way: str) -> None:
    """The kernel closes descriptors that are not taken as it hands out the bytes they came with."""
    world.write_module("git", PYTHON, BOTH)
    path = world.root / "engine"
    chosen = world.root / "nowhere" if "none" in way else path
    for name in ("go", "gone"):
        os.mkfifo(world.workspace / name)
        (world.workspace / name).chmod(0o666)
    script = (
        f"{ATTACKER}{WAYS[way]}door = connect()\nprint('ready', flush=True); open('go').close()\n"
        "socket.send_fds(door, [b'x'], [one.fileno()]); one.close()\n"
        "open('gone', 'w').close(); signal.pause()\n"
    )
    with run_engine(path), serve(world, DOCKER_HOST=f"unix://{chosen}") as daemon:
        with daemon.connect() as client:
            client.sendall(request("git", "-c", script, cwd="/workspace"))
            read_until(client, "ready")
            # Until it goes on the attacker has let go, so that the daemon's is the last one closed.
            with daemon.suspended():
                (world.workspace / "go").write_bytes(b"")
                (world.workspace / "gone").read_bytes()
            assert all(_is_served(daemon) for _ in range(20))
        # What waited in its box is closed too.
        assert all(_is_served(daemon) for _ in range(20))


@pytest.mark.parametrize("way", ["on its way to the engine", "where none is reached"])
def test_descriptors_that_come_are_kept_by_nobody(world: World, way: str) -> None:
    """Each would be one less for the daemon's other clients."""
    world.write_module("git", PYTHON, BOTH)
    path = world.root / "engine"
    chosen = world.root / "nowhere" if "none" in way else path
    script = (
        f"{ATTACKER}ours, sent = os.pipe()\ndoor = connect()\n"
        "socket.send_fds(door, [b'x'], [sent]); os.close(sent)\n"
        "print(os.read(ours, 1), flush=True); os._exit(0)\n"
    )
    with run_engine(path), serve(world, DOCKER_HOST=f"unix://{chosen}") as daemon:
        assert daemon.ask("git", "-c", script, cwd="/workspace").text() == "b''\n"


def _is_served(daemon: Daemon) -> bool:
    code: int = daemon.ask("nothing").error["code"]
    return code == -32601
