"""Boxes end whole, whatever is killed: no process is left, and with the last one goes the rest."""

import os
import random
import select
import shutil
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

import shared_fixtures
from boxing import PYTHON, needs_bubblewrap, write_boxes
from descent import descend, name_of, parent_of
from running import Daemon, Message, read_answer, read_until, request
from worlds import World

pytestmark = needs_bubblewrap

# Three that are not the tool's children any more, one of which hears no signal.
SCRIPT = """
setsid sh -c "trap '' HUP TERM INT; while :; do sleep 1; done" >/dev/null 2>&1 &
setsid sleep 600 >/dev/null 2>&1 &
(sleep 600 >/dev/null 2>&1 &)
echo up
exec sleep 600
"""

world = shared_fixtures.boxed


class Running:
    """A command of several processes that runs in a box, and the processes that are around it."""

    def __init__(self, daemon: Daemon) -> None:
        """Start it, and wait for all of them."""
        self.connection: socket.socket = daemon.connect()
        self.connection.sendall(request("sh", "-c", SCRIPT))
        read_until(self.connection, "up")
        self.above = descend(daemon.process.pid)
        self.bubblewrap = next(pid for pid in self.above if name_of(pid) == "bwrap")
        self.supervisor = parent_of(self.bubblewrap)
        self.launcher = next(pid for pid in self.above if parent_of(pid) == self.bubblewrap)
        self.tool = next(pid for pid in self.above if parent_of(pid) == self.launcher)
        self.watched = [os.pidfd_open(pid) for pid in (self.supervisor, *descend(self.supervisor))]

    def assert_gone(self) -> None:
        """Wait for the end of each, which is much nearer than the limit."""
        for descriptor in self.watched:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            assert poll.poll(30_000)
            os.close(descriptor)

    def assert_box_gone(self) -> None:
        """The same, but for the supervisor, which may wait for another command."""
        os.close(self.watched.pop(0))
        self.assert_gone()


def test_a_client_that_hangs_up_ends_the_box(world: World) -> None:
    """Also what hears no signal and has left the tool's session."""
    with Daemon(world) as daemon:
        running = Running(daemon)
        running.connection.close()
        running.assert_box_gone()


@pytest.mark.parametrize("victim", ["tool", "launcher", "bubblewrap", "supervisor"])
def test_whatever_is_killed_the_box_ends_and_the_client_is_told(world: World, victim: str) -> None:
    """Nothing goes on without the one that would end it."""
    with Daemon(world) as daemon:
        running = Running(daemon)
        os.kill(getattr(running, victim), signal.SIGKILL)
        last: Message = read_answer(running.connection).last
        running.connection.close()
        if victim == "tool":
            assert last["result"]["exit_code"] == 128 + signal.SIGKILL
        else:
            assert "killed" in last["error"]["message"]
        (running.assert_gone if victim == "supervisor" else running.assert_box_gone)()
        assert daemon.shell("echo next").text() == "next\n"


# bubblewrap that waits, in the place of another one, for a word that never comes: there is a first
# process of the box then, which itself waits to be told who is in there.
HELD = """\
#!{python} -IS
import os, sys
more = []
if os.path.exists({pipe!r}):
    os.dup2(os.open({pipe!r}, os.O_RDWR), 200)
    more = ["--info-fd", "1", "--userns-block-fd", "200"]
os.execv({program!r}, ["bwrap", *more, *sys.argv[1:]])
"""


@pytest.fixture
def hold(world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path at which a pipe holds up each bubblewrap of a daemon that is started from now on."""
    pipe: Path = world.root / "hold"
    program = world.root / "bin" / "bwrap"
    program.parent.mkdir()
    text = HELD.format(python=PYTHON, pipe=str(pipe), program=shutil.which("bwrap"))
    program.write_text(text)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return pipe


@pytest.mark.parametrize("victims", [("supervisor",), ("service", "supervisor"), ("bubblewrap",)])
def test_a_box_that_is_only_begun_ends_too(
    world: World, hold: Path, victims: tuple[str, ...]
) -> None:
    """Nobody in there could tell of it, or would end by itself; the client is told."""
    with Daemon(world) as daemon, daemon.connect() as connection:
        os.mkfifo(hold)
        hold.chmod(0o666)
        connection.sendall(request("sh", "-c", "echo never"))
        begun = await_begun(daemon.process.pid)
        first = os.pidfd_open(begun["first"])
        for name in victims:
            os.kill(begun[name], signal.SIGKILL)
        assert "killed" in read_answer(connection).error["message"]
        if "service" in victims:
            # With nobody left who could.
            signal.pidfd_send_signal(first, signal.SIGKILL)
        poll = select.poll()
        poll.register(first, select.POLLIN)
        assert poll.poll(30_000)
        os.close(first)
        assert daemon.stop() == 0


def await_begun(daemon: int) -> Mapping[str, int]:
    """The processes of the oldest box as far as it is begun: its first one waits for bubblewrap.

    There may be another one, which is made ahead.
    """
    while True:
        with suppress(OSError, StopIteration):
            bubblewrap = next(pid for pid in descend(daemon) if name_of(pid) == "bwrap")
            below = descend(bubblewrap)
            if below and name_of(below[0]) == "bwrap":
                above = parent_of(bubblewrap)
                return {
                    "first": below[0],
                    "bubblewrap": bubblewrap,
                    "supervisor": above,
                    "service": parent_of(above),
                }
        os.sched_yield()


def test_a_daemon_that_is_killed_takes_its_boxes_along(world: World) -> None:
    """It cannot tell anybody to end them any more."""
    with Daemon(world) as daemon:
        running = Running(daemon)
        daemon.kill()
        running.assert_gone()
        running.connection.close()


def test_a_daemon_that_stops_ends_its_boxes_in_order(world: World) -> None:
    """What hears a signal hears it first."""
    write_boxes(world, more="[daemon]\nshutdown_grace_s = 0\n")
    with Daemon(world) as daemon:
        script = "trap 'echo heard > heard; exit' HUP; echo up; while :; do sleep 0.1; done"
        with daemon.connect() as connection:
            connection.sendall(request("sh", "-c", script))
            read_until(connection, "up")
            assert daemon.stop() == 0
    assert (world.workspace / "heard").read_text() == "heard\n"


def test_a_signal_of_the_client_reaches_the_tool_alone(world: World) -> None:
    """The tool handles it, and the box goes on until the tool ends."""
    with Daemon(world) as daemon, daemon.connect() as connection:
        script = "trap 'echo heard; exit 4' INT; echo up; while :; do sleep 0.1; done"
        message = request("sh", "-c", script, features=["signals"])
        connection.sendall(message)
        read_until(connection, "up")
        connection.sendall(
            b'{"jsonrpc": "2.0", "method": "signal", "params": {"id": 1, "name": "SIGINT"}}\n'
        )
        answer = read_answer(connection)
    assert answer.exit_code == 4


def test_clients_that_hang_up_while_boxes_are_made_leave_nothing(world: World) -> None:
    """At whatever step of it, also before there is a launcher in the box that could be told."""
    chance = random.Random(16)  # noqa: S311 - when, not what
    with Daemon(world) as daemon:
        for _ in range(40):
            with daemon.connect() as connection:
                connection.sendall(request("sh", "-c", SCRIPT))
                select.select([connection], [], [], chance.uniform(0, 0.05))
        assert daemon.shell("echo serves").text() == "serves\n"
        watched = []
        for pid in descend(daemon.process.pid):
            with suppress(ProcessLookupError):
                watched.append(os.pidfd_open(pid))
        assert daemon.stop() == 0
        for descriptor in watched:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            assert poll.poll(30_000)
            os.close(descriptor)
        assert {record["outcome"] for record in daemon.records()} <= {"allowed", "aborted"}
