"""What hostile code sends from a box to the broker of the docker engine, beside bytes."""

import inspect
import os

import pytest
from test_docker_box import BOX, SPEAK, serve, world

import slow_closing
from boxing import PYTHON, needs_bubblewrap
from running import Daemon, read_until, request
from worlds import World

__all__ = ["world"]

pytestmark = needs_bubblewrap

# With TCP, of which a socket may be slow to close.
BOTH = f'{BOX}network = ["127.0.0.1:9"]\n'
ATTACKER = f"""{SPEAK}{inspect.getsource(slow_closing)}
import signal
one, other = slow_to_close()
"""
WAYS = {"at the broker": "", "behind others": "kept = [connect() for _ in range(20)]\n"}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_slow_to_close_holds_up_nobody(world: World, way: str) -> None:
    """The kernel closes descriptors that are not taken as it hands out the bytes they came with."""
    world.write_module("git", PYTHON, BOTH)
    for name in ("go", "gone"):
        os.mkfifo(world.workspace / name)
        (world.workspace / name).chmod(0o666)
    script = (
        f"{ATTACKER}{WAYS[way]}door = connect()\nprint('ready', flush=True); open('go').close()\n"
        "socket.send_fds(door, [b'x'], [one.fileno()]); one.close()\n"
        "open('gone', 'w').close(); signal.pause()\n"
    )
    with serve(world, "/nowhere/engine") as daemon:
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


def test_descriptors_that_come_are_kept_by_nobody(world: World) -> None:
    """Each would be one less for the daemon's other clients."""
    world.write_module("git", PYTHON, BOTH)
    script = (
        f"{ATTACKER}ours, sent = os.pipe()\ndoor = connect()\n"
        "socket.send_fds(door, [b'x'], [sent]); os.close(sent)\n"
        "print(os.read(ours, 1), flush=True); os._exit(0)\n"
    )
    with serve(world, "/nowhere/engine") as daemon:
        assert daemon.ask("git", "-c", script, cwd="/workspace").text() == "b''\n"


def _is_served(daemon: Daemon) -> bool:
    code: int = daemon.ask("nothing").error["code"]
    return code == -32601
