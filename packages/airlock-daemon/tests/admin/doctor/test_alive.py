"""`airlock doctor --alive`, for health checks."""

import os
import socket
import subprocess
import sys

from running import Daemon
from worlds import World


def run_alive(world: World, *, status: int) -> str:
    argv = (sys.executable, "-m", "airlock_daemon", "--config", str(world.config))
    done = subprocess.run(
        (*argv, "doctor", "--alive"), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    return done.stderr


def test_alive_says_whether_the_daemon_answers(world: World) -> None:
    """Nothing where it does. A stale socket of an agent that is gone is not the daemon's."""
    silence, hint = run_alive(world, status=1).splitlines()
    assert silence == f"airlock: no daemon serves {world.config}/sockets"
    assert hint == "airlock: hint: airlock doctor"
    with Daemon(world) as daemon:
        assert run_alive(world, status=0) == ""
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(f"{world.config}/sockets/gone.sock")
        assert run_alive(world, status=0) == ""
        assert daemon.records("invalid") == []
        daemon.kill()
        assert "no daemon serves" in run_alive(world, status=1)


def test_a_fifo_in_the_place_of_the_lock_holds_up_nobody(world: World) -> None:
    """A container with the sockets directory could make one; an open for reading waits on it."""
    (world.config / "sockets").mkdir()
    os.mkfifo(world.config / "sockets" / ".lock")
    assert "no daemon serves" in run_alive(world, status=1)


def test_alive_imports_little(world: World) -> None:
    """It is asked once a second in some deployments."""
    code = "import sys; from airlock_daemon.admin.cli import main\n"
    code += "sys.argv[1:] = ['doctor', '--alive']\n"
    code += "try: main()\nfinally: print(*sys.modules, file=sys.stdout)"
    done = subprocess.run(
        (sys.executable, "-c", code), capture_output=True, text=True, check=False, timeout=60
    )
    loaded = set(done.stdout.split())
    assert "airlock_daemon.admin.listening" in loaded
    assert not {"typer", "trio", "airlock_modules", "airlock_wire"} & loaded
