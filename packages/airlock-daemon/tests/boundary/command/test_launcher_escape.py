"""The launcher lets nothing get away: what forks all the time, and what is left by those killed."""

import os
import signal
import sys

import pytest

from launching import STRAYS, Launch, Service, open_strays, shell, wait_ended

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the launcher is for Linux")

# Five chains of processes, each of which lives until it has forked, in a session of its own. They
# hold the pipe on which the tool says that they are there. No test waits as long as they go on by
# themselves, which is for a launcher that lets them get away.
FORKING = """
import os, signal, time
supervisor, until = os.getppid(), time.monotonic() + 120
for _ in range(5):
    if os.fork() == 0:
        break
else:
    os.write(1, b"x")
    {then}
while time.monotonic() < until:
    if os.fork():
        os._exit(0)
    os.setsid()
"""


def test_processes_that_fork_all_the_time_end() -> None:
    """Chains in which each process lives only until it has forked do not get away."""
    program = FORKING.format(then="")
    with Launch(sys.executable, "-IS", "-c", program) as launch:
        os.read(launch.stdout, 1)
        launch.order("E", signal.SIGKILL)
        # All of them hold the pipe, so that its end is theirs.
        launch.read_output()
        assert len(launch.read_reports()) == 1


def test_a_supervisor_that_is_killed_takes_everything_with_it() -> None:
    """Also what has left the tool's session; other commands of the service go on."""
    with (
        Service() as service,
        Launch("/bin/sh", *shell("echo up; read x; exit 4"), service=service) as another,
        Launch("/bin/sh", *shell(f"echo $PPID; {STRAYS} read x"), service=service) as launch,
    ):
        another.read_line()
        supervisor = int(launch.read_line())
        strays = open_strays(launch)
        os.kill(supervisor, signal.SIGKILL)
        assert launch.read_reports() == []
        assert launch.read_output() == b""
        for stray in strays:
            wait_ended(stray)
        os.write(another.stdin, b"\n")
        assert another.read_reports() == [("X", 4 << 8)]


def test_a_tool_that_kills_its_supervisor_leaves_nothing() -> None:
    """Not even processes that fork all the time, and leave each session that they were in."""
    program = FORKING.format(then="os.kill(supervisor, signal.SIGKILL)")
    with Launch(sys.executable, "-IS", "-c", program) as launch:
        # All of them hold the pipe, so that its end is theirs.
        assert launch.read_output() == b"x"
        assert launch.read_reports() == []


def test_a_daemon_and_a_supervisor_that_are_killed_leave_nothing() -> None:
    """The service stays until the last command has ended, and ends what that leaves."""
    with Service() as service:
        launch = Launch("/bin/sh", *shell(f"echo $PPID; {STRAYS} read x"), service=service)
        with launch:
            supervisor = int(launch.read_line())
            strays = open_strays(launch)
            service.socket.close()
            os.kill(supervisor, signal.SIGKILL)
            for stray in strays:
                wait_ended(stray)
        assert service.wait() == 0
