"""Tests of `airlock_daemon.admin.cli.reload`: what is signalled, and what never is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from airlock_daemon.admin.cli.reload import is_daemon, reload_daemon
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.paths import Locations
from airlock_daemon.setup.status import DaemonStatus
from posting import posted
from running import Daemon, read_until, request, watching
from worlds import World

IGNORES = "trap '' HUP; echo up; read line"
CATCHES = "trap : HUP; echo up; read line"


def status(world: World) -> DaemonStatus:
    """That of a daemon which runs on this world."""
    return DaemonStatus(config_dir=os.path.realpath(world.config), agents=str(world.agents_file))


@pytest.fixture
def sockets(world: World) -> Path:
    path = Path(world.locations.sockets_dir)
    path.mkdir(mode=0o700)
    return path


@pytest.fixture(params=["airlock-daemon", "airlock", "airlock_daemon", "sh"])
def name(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The path of a shell under some name."""
    path = tmp_path / "bin" / request.param
    path.parent.mkdir()
    path.symlink_to("/bin/sh")
    return str(path)


def test_without_a_daemon_there_is_nobody_to_ask(world: World) -> None:
    """The message names the directory and the file, and what could be meant."""
    with pytest.raises(AirlockError, match="no daemon of this user serves") as caught:
        reload_daemon(world.locations)
    assert world.locations.sockets_dir in caught.value.message
    assert "airlock start" in (caught.value.hint or "")


def test_a_daemon_of_another_configuration_is_not_asked(world: World, tmp_path: Path) -> None:
    """Though it serves the same sockets directory."""
    with Daemon(world) as daemon:
        other = tmp_path / "other"
        other.mkdir()
        elsewhere = Locations.find(config=str(other), sockets=world.locations.sockets_dir)
        with pytest.raises(AirlockError, match="no daemon of this user serves"):
            reload_daemon(elsewhere)
        assert daemon.stop() == 0
        assert daemon.records("reload") == []


def test_a_notice_that_a_killed_daemon_left_names_nobody(world: World) -> None:
    """It is there, and no process holds it."""
    with Daemon(world) as daemon:
        daemon.kill()
        assert (Path(world.locations.sockets_dir) / DaemonStatus.FILE).exists()
        with pytest.raises(AirlockError, match="no daemon of this user serves"):
            reload_daemon(world.locations)


def test_another_process_that_posts_a_notice_is_not_signalled(world: World, sockets: Path) -> None:
    """A signal would end it; the message says which process it is."""
    with posted(sockets, status(world)) as process:
        with pytest.raises(AirlockError, match=f"process {process.pid} locks the status file"):
            reload_daemon(world.locations)
        assert process.stdin is not None
        process.stdin.close()
        # By itself, and not by the signal.
        assert process.wait(20) == 0


def test_a_process_that_passes_for_a_daemon_is_signalled_and_may_end(
    world: World, sockets: Path
) -> None:
    """It is this user's own, of this pid namespace, called so, and has a handler."""
    with posted(sockets, status(world), named="airlock-daemon") as process:
        with pytest.raises(AirlockError, match="ended before it had reloaded"):
            reload_daemon(world.locations)
        assert process.wait(20) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="a pid namespace takes root")
def test_the_same_in_a_container_is_not_signalled(world: World, sockets: Path) -> None:
    """It has a pid namespace of its own."""
    inside = ("unshare", "--pid", "--fork", "--kill-child")
    with posted(sockets, status(world), before=inside, named="airlock-daemon") as process:
        with pytest.raises(AirlockError, match="locks the status file"):
            reload_daemon(world.locations)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0


def test_a_daemon_is_told_from_other_processes(world: World, name: str) -> None:
    """By its user, its namespace, its name, and by a handler for SIGHUP, which a shell may have."""
    for script, has_handler in ((IGNORES, False), (CATCHES, True)):
        argv = [name, "-c", script]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            is_named = not name.endswith("/sh")
            assert is_daemon(process.pid) == (has_handler and is_named)
            process.kill()
    assert not is_daemon(os.getpid())
    with Daemon(world) as daemon:
        assert is_daemon(daemon.process.pid)
        daemon.process.kill()
        with watching(daemon.process.pid) as has_ended:
            assert has_ended()
        assert not is_daemon(daemon.process.pid)


def test_a_daemon_that_ends_instead_is_told(world: World) -> None:
    """One that is stopping reads nothing any more, and says so."""
    os.mkfifo(world.workspace / "go")
    with Daemon(world) as daemon, daemon.connect() as running:
        running.sendall(request("sh", "-c", "echo up; read line < go"))
        read_until(running, "up")
        daemon.process.send_signal(signal.SIGTERM)
        argv = [sys.executable, "-m", "airlock_daemon", "--config", str(world.config), "reload"]
        with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as asking:
            refused = "SIGHUP: not reloaded, since the daemon is stopping"
            daemon.wait_until(lambda: refused in daemon.messages())
            (world.workspace / "go").write_text("\n")
            assert daemon.process.wait(30) == 0
            assert asking.wait(30) == 1
            assert asking.stderr is not None
            said = asking.stderr.read()
        assert "airlock: the daemon ended before it had reloaded\n" in said
