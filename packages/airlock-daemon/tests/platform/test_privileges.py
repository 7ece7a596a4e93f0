"""Tests of `airlock_daemon.platform.linux.privileges`."""

import ctypes
import os
import tempfile
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from airlock_daemon.platform.linux import privileges
from airlock_daemon.platform.linux.processes import read_process_file
from running import Daemon
from worlds import World

NOBODY = 65534

# Reads everything as root: nobody may not enter where this Python stands.
AS_NOBODY = f"""
import ctypes, os, pathlib, sys
from airlock_daemon.serving.daemon.daemon import run_daemon
from airlock_daemon.setup.generation import Setup
from airlock_daemon.setup.paths import Locations
# Nobody may read them in every place where they are installed.
import http.client, airlock_daemon.serving.daemon.boxes, airlock_daemon.boundary.box.prewarmed
import airlock_daemon.serving.request.boxed, airlock_daemon.serving.request.tool
setup = Setup.load(Locations.find(config=sys.argv[2], agents=sys.argv[5]))
for path in (".", *pathlib.Path().rglob("*")):
    os.chown(path, {NOBODY}, {NOBODY})
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
run_daemon(setup)
"""

is_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")


def run_as_nobody(check: Callable[[], None]) -> None:
    """Call `check` in a process of a user that is not root, as one that was executed so."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            # To change the user is enough to be kept to oneself; what is executed begins anew.
            ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
            check()
        except BaseException:  # noqa: BLE001 - told, and never returned from
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def is_open_to_others(pid: int) -> bool:
    """Whether another process of this user reads environment and descriptors of `pid`."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        answers = []
        for look in (
            lambda: Path(f"/proc/{pid}/environ").read_bytes(),
            lambda: os.listdir(f"/proc/{pid}/fd"),
            lambda: os.open(f"/proc/{pid}/mem", os.O_RDONLY),
        ):
            try:
                look()
            except PermissionError:
                answers.append("no")
            else:
                answers.append("yes")
        os.write(writing, " ".join(answers).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    answer = os.read(reading, 100).decode()
    os.close(reading)
    assert answer in ("yes yes yes", "no no no")
    return answer == "yes yes yes"


def check_that_it_is_forbidden() -> None:
    assert is_open_to_others(os.getpid())
    assert privileges.forbid_tracing()
    assert not is_open_to_others(os.getpid())


def check_what_the_daemon_reads_of_itself() -> None:
    assert privileges.forbid_tracing()
    reading, writing = os.pipe()
    assert os.readlink(f"/proc/self/fd/{reading}").startswith("pipe:")
    for name in (f"fdinfo/{writing}", "mountinfo", "cgroup", "stat", "status"):
        assert read_process_file(os.getpid(), name)
    for name in ("pid", "mnt"):
        assert os.readlink(f"/proc/self/ns/{name}")
    directory = os.open("/", os.O_PATH)
    assert os.path.isdir(f"/proc/self/fd/{directory}/proc")


def check_an_old_kernel() -> None:
    def refuse(*_: object) -> str:
        raise PermissionError

    pytest.MonkeyPatch().setattr(privileges, "read_process_file", refuse)
    assert not privileges.forbid_tracing()
    assert is_open_to_others(os.getpid())


def check_that_it_is_closed(pid: int) -> None:
    assert not is_open_to_others(pid)


@is_root
@pytest.mark.parametrize(
    "check",
    [check_that_it_is_forbidden, check_what_the_daemon_reads_of_itself, check_an_old_kernel],
)
def test_a_process_is_kept_to_itself(check: Callable[[], None]) -> None:
    """Nobody else of its user looks into it, it still sees what it needs, or all is as before."""
    run_as_nobody(check)


@is_root
def test_the_daemon_of_an_ordinary_user_is_kept_to_itself() -> None:
    """It sees to that before it serves; here it runs on without a new program, as nobody."""
    with tempfile.TemporaryDirectory() as root:
        world = World(Path(root))
        with Daemon(world, program=("-c", AS_NOBODY)) as daemon:
            run_as_nobody(partial(check_that_it_is_closed, daemon.process.pid))


def test_the_daemon_keeps_its_environment_to_itself(world: World) -> None:
    """Credentials in it are out of reach of what the daemon's user runs besides."""
    if os.geteuid() == 0:
        pytest.skip("a root daemon is out of everybody's reach anyway")
    with Daemon(world) as daemon:
        assert not is_open_to_others(daemon.process.pid)
        assert daemon.shell("echo fine").text() == "fine\n"
