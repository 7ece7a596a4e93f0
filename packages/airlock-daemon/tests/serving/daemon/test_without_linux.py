"""A daemon without Linux's names: that it lacks them, and what stands in.

With WITHOUT_LINUX=1 other files of this folder and of `request` start such daemons, too.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import elsewhere
from running import Daemon, read_until, request, watching
from worlds import World

_NAMES = """
import os, select, signal, socket
names = (
    (os, "O_PATH"), (os, "memfd_create"), (os, "pidfd_open"), (os, "pipe2"), (os, "splice"),
    (select, "epoll"), (signal, "pidfd_send_signal"),
    (socket, "SO_PEERCRED"), (socket, "MSG_CMSG_CLOEXEC"),
)
print([name for module, name in names if hasattr(module, name)])
"""

_LAUNCHER = r"tr '\0' ' ' < /proc/$PPID/cmdline"


@pytest.fixture(autouse=True)
def without_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start such daemons."""
    monkeypatch.setenv("WITHOUT_LINUX", "1")


@pytest.fixture
def daemon(world: World) -> Iterator[Daemon]:
    """A daemon on the world, whose profile maps the workspace."""
    world.write_profile()
    with Daemon(world) as running:
        yield running


def test_the_names_are_missing_and_a_launcher_of_python_starts_tools(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the daemon and in each process of its Python; with them, the native launcher does."""
    python = Path(elsewhere.find_daemon()).with_name("python")
    words = [str(python), "-I", "-m", "timeit", "-n1", "-r1", "-s", _NAMES, "pass"]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    assert said.startswith("[]\n")
    cmdline = Path(f"/proc/{daemon.process.pid}/cmdline").read_text().split("\0")
    assert elsewhere.find_daemon() in cmdline
    assert "-m airlock_daemon.platform.posix.spawner" in daemon.shell(_LAUNCHER).text()
    monkeypatch.delenv("WITHOUT_LINUX")
    daemon.world.write_profile("[workspace]\nhost = true\n")
    daemon.stop()
    with Daemon(daemon.world) as native:
        assert "airlock-launch" in native.shell(_LAUNCHER).text()


def test_boxes_and_directories_of_the_host_are_refused_by_name(world: World) -> None:
    """Each by the rule that SECURITY.md names."""
    world.write_module("boxed", "/bin/sh", '[deny]\nargs = []\n[sandbox]\nbox = "closed"\n')
    world.write_config()
    config = world.config / "config.toml"
    config.write_text(config.read_text().replace('"sh"', '"sh", "boxed"'))
    world.write_profile()
    with Daemon(world) as daemon:
        error = daemon.ask("boxed", "-c", "true").error
        assert error["data"]["rule"] == "no-box"
        profile = world.agent / "airlock.toml"
        profile.write_text("commands = []\n[workspace]\nhost = true\n")
    with Daemon(world) as daemon:
        assert daemon.shell("true").error["data"]["rule"] == "host"


def test_a_killed_launcher_takes_its_commands_along(daemon: Daemon) -> None:
    """The daemon ends them, and starts another launcher."""
    with daemon.connect() as connection:
        connection.sendall(request("sh", "-c", "trap '' HUP; sleep 600 & echo $PPID $!; wait"))
        launcher, left = map(int, read_until(connection, "\n").split())
        with watching(left) as has_ended:
            os.kill(launcher, signal.SIGKILL)
            assert has_ended()
    assert daemon.shell("echo again").text() == "again\n"


def test_nothing_of_a_command_has_descriptors_but_its_own(daemon: Daemon) -> None:
    """Neither the launcher's nor those of other commands."""
    with daemon.connect() as other:
        other.sendall(request("sh", "-c", "echo up; read line"))
        read_until(other, "up")
        links = daemon.shell("for each in /proc/self/fd/*; do readlink $each; done").text()
    kinds = [link.partition(":")[0] for link in links.splitlines() if not link.startswith("/")]
    assert set(kinds) == {"pipe"}
